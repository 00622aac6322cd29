# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What waits: retries, messages for later, and what dead consumers left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.records import (
    Claim,
    Due,
    Failure,
    Outcome,
    Owner,
    Revocation,
    Route,
    State,
)
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import update_rows
from tickrelay_messaging.ledger.sql.claims import check_owner
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.ending_waiting import end_waiting
from tickrelay_messaging.ledger.sql.endings import Ending, Endings
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.ordering import SINGLETON, STRICT, claimed_of, followers, is_first
from tickrelay_messaging.ledger.sql.revoking import in_force, is_covered
from tickrelay_messaging.ledger.sql.tables import CLAIMED, WAITING, active, payloads
from tickrelay_messaging.message import Message

_TAKE = update_rows(active, f"state = {CLAIMED}, owner = ?, fence = ?, due = NULL", "owner fence")


class Waiting:
    """See `Ledger.claim_due` and `Ledger.due`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def due(self, routes: Sequence[Route]) -> Due:
        """See `Ledger.due`."""
        numbers = [self._names.route(route) for route in routes]
        now = self._database.clock()
        waiting = (active.c.route.in_(numbers), active.c.state == WAITING, is_first(now))
        alone = (active.c.suspect == 1, active.c.due <= now)
        with self._database.read() as connection:
            first = select(func.min(active.c.due)).where(*waiting, active.c.suspect == 0)
            suspects = select(func.count()).select_from(active).where(*waiting, *alone)
            return Due(connection.execute(first).scalar(), connection.execute(suspects).scalar() or 0)

    def claim_due(
        self, owner: Owner, route: Route, limit: int, *, suspects: bool, ahead: float
    ) -> list[Claim]:
        """See `Ledger.claim_due`."""
        number = self._names.route(route)
        now = self._database.clock()
        chosen = (
            select(active, payloads.c.headers, payloads.c.body)
            .join(payloads, payloads.c.key == active.c.key)
            .where(active.c.route == number, active.c.state == WAITING, _is_due(now, ahead))
            .where(active.c.suspect == int(suspects), is_first(now))
            .order_by(active.c.due, active.c.position, active.c.key)
            .limit(1 if suspects else limit)
        )
        taking = _Taking(route, owner, Endings(now, owner.name))
        with self._database.write() as connection:
            check_owner(connection, owner)
            found = connection.execute(chosen).all()
            if found and not suspects:
                found = [*found, *followers(connection, found, now, limit)]
            claims = taking.take(connection, found) if found else []
        if taking.endings.concern_batches:
            self._database.ring(Topic.OUTCOMES)
            self._database.ring(Topic.WORK)  # for what was behind those that came to their end
        return claims


@dataclass(slots=True)
class _Taking:
    """What one call takes, and what it finds to have come to its end meanwhile."""

    route: Route
    owner: Owner
    endings: Endings
    ended: list[tuple[Any, Message, State]] = field(default_factory=list)
    held_up: set[bytes] = field(default_factory=set)

    def take(self, connection: Connection, found: Sequence[Any]) -> list[Claim]:
        claims: list[Claim] = []
        busy = claimed_of(connection, [row.order_key for row in found if row.rule == SINGLETON])
        readable = list(self._readable(connection, found))
        taken_back = in_force(connection, [message for _, message in readable])
        for row, message in readable:
            state = self._end_of(row, message, taken_back, busy)
            if state is not None:
                self.ended.append((row, message, state))
            elif row.order_key not in self.held_up:
                claims.append(_claim(self.route, row, message, self.endings.now))
        end_waiting(connection, self.endings, self.ended)
        _TAKE.run(connection, [(self.owner.number, claim.fence, claim.key) for claim in claims])
        self.endings.write(connection)
        return claims

    def _readable(self, connection: Connection, found: Sequence[Any]) -> Iterator[tuple[Any, Message]]:
        for row in found:
            try:
                yield row, rows.message_of(row.headers, row.body)
            except UndecodableMessage as error:
                _bury_again(connection, self.endings, row, error)
                if row.rule == STRICT:
                    self.held_up.add(row.order_key)

    def _end_of(
        self, row: Any, message: Message, taken_back: Sequence[Revocation], busy: set[bytes]
    ) -> State | None:
        if message.expires is not None and message.expires.timestamp() <= max(self.endings.now, row.due):
            return State.EXPIRED
        if is_covered(message, taken_back):
            return State.REVOKED
        if row.rule != SINGLETON:
            return None
        if row.order_key in busy:
            return State.SKIPPED
        busy.add(row.order_key)
        return None


def _is_due(now: float, ahead: float) -> ColumnElement[bool]:
    """Or will be soon, where it hasn't been anybody's yet and has no place among others."""
    if not ahead:
        return active.c.due <= now
    is_fresh = and_(active.c.fence == 0, active.c.order_key.is_(None), active.c.due <= now + ahead)
    return or_(active.c.due <= now, is_fresh)


def _claim(route: Route, row: Any, message: Message, now: float) -> Claim:
    fence = max(row.fence + 1, int(now * 1e6))
    is_suspect, is_ambiguous = bool(row.suspect), bool(row.ambiguous)
    return Claim(
        Outcome.RUN,
        route,
        row.key,
        message,
        fence,
        row.attempt,
        is_suspect,
        held=True,
        ambiguous=is_ambiguous,
    )


def _bury_again(connection: Connection, endings: Endings, row: Any, error: UndecodableMessage) -> None:
    """A replayed payload that still can't be read goes back; it must not keep the others from running."""
    message = rows.readable_message(row.headers, row.body, row.message_id)
    ending = Ending(row.key, row.route, row.source, message, row.attempt, None, row.batch)
    endings.die(
        ending, "undecodable", Failure(type(error).__name__, str(error)), (row.key, row.headers, row.body)
    )
    rows.BURY.run(connection, [(row.key,)])
