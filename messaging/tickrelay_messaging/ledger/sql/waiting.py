# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What waits: retries, messages for later, and what dead consumers left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.records import Claim, Due, Failure, Outcome, Owner, Route, State
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import update_rows
from tickrelay_messaging.ledger.sql.claims import check_owner
from tickrelay_messaging.ledger.sql.database import Database, Topic
from tickrelay_messaging.ledger.sql.endings import CODE_OF, Ending, Endings
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.tables import CLAIMED, DEAD, WAITING, active, payloads

_TAKE = update_rows(active, f"state = {CLAIMED}, owner = ?, fence = ?, due = NULL", "owner fence")
_BURY = update_rows(active, f"state = {DEAD}, due = NULL", "")


class Waiting:
    """See `Ledger.claim_due` and `Ledger.due`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def due(self, routes: Sequence[Route]) -> Due:
        """See `Ledger.due`."""
        numbers = [self._names.route(route) for route in routes]
        waiting = (active.c.route.in_(numbers), active.c.state == WAITING)
        alone = (active.c.suspect == 1, active.c.due <= self._database.clock())
        with self._database.read() as connection:
            first = select(func.min(active.c.due)).where(*waiting, active.c.suspect == 0)
            suspects = select(func.count()).select_from(active).where(*waiting, *alone)
            return Due(connection.execute(first).scalar(), connection.execute(suspects).scalar() or 0)

    def claim_due(self, owner: Owner, route: Route, limit: int, *, suspects: bool) -> list[Claim]:
        """See `Ledger.claim_due`."""
        number = self._names.route(route)
        now = self._database.clock()
        chosen = (
            select(active, payloads.c.headers, payloads.c.body)
            .join(payloads, payloads.c.key == active.c.key)
            .where(active.c.route == number, active.c.state == WAITING, active.c.due <= now)
            .where(active.c.suspect == int(suspects))
            .order_by(active.c.due)
            .limit(1 if suspects else limit)
        )
        endings = Endings(now, owner.name)
        with self._database.write() as connection:
            check_owner(connection, owner)
            found = connection.execute(chosen).all()
            claims = self._take(connection, (owner, route), found, endings) if found else []
        if endings.concern_batches:
            self._database.ring(Topic.OUTCOMES)
        return claims

    def _take(
        self, connection: Connection, who: tuple[Owner, Route], found: Sequence[Any], endings: Endings
    ) -> list[Claim]:
        owner, route = who
        claims: list[Claim] = []
        for row in found:
            try:
                claims.append(_claim(route, row, endings.now))
            except UndecodableMessage as error:
                _bury_again(connection, endings, row, error)
        _expire(connection, endings, [claim for claim in claims if claim.outcome is Outcome.EXPIRED], found)
        running = [claim for claim in claims if claim.outcome is Outcome.RUN]
        _TAKE.run(connection, [(owner.number, claim.fence, claim.key) for claim in running])
        endings.write(connection)
        return running


def _claim(route: Route, row: Any, now: float) -> Claim:
    message = rows.message_of(row.headers, row.body)
    is_expired = message.expires is not None and message.expires.timestamp() <= now
    outcome = Outcome.EXPIRED if is_expired else Outcome.RUN
    fence = max(row.fence + 1, int(now * 1e6))
    return Claim(outcome, route, row.key, message, fence, row.attempt, bool(row.suspect), held=True)


def _bury_again(connection: Connection, endings: Endings, row: Any, error: UndecodableMessage) -> None:
    """A replayed payload that still can't be read goes back; it must not keep the others from running."""
    message = rows.readable_message(row.headers, row.body, row.message_id)
    ending = Ending(row.key, row.route, row.source, message, row.attempt, None, row.batch)
    endings.die(
        ending, "undecodable", Failure(type(error).__name__, str(error)), (row.key, row.headers, row.body)
    )
    _BURY.run(connection, [(row.key,)])


def _expire(connection: Connection, endings: Endings, expired: Sequence[Claim], found: Sequence[Any]) -> None:
    by_key = {row.key: row for row in found}
    for claim in expired:
        row = by_key[claim.key]
        ending = Ending(claim.key, row.route, row.source, claim.message, row.attempt - 1, None, row.batch)
        endings.end(ending, CODE_OF[State.EXPIRED])
    rows.DELETE_ACTIVE.run(connection, [(claim.key,) for claim in expired])
    rows.DELETE_PAYLOAD.run(connection, [(claim.key,) for claim in expired])
