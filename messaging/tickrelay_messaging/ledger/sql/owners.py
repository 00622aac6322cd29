# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Consumers as owners of claims: joining, staying alive, leaving, and what happens to the claims of the dead."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.records import Failure, Owner, Route
from tickrelay_messaging.ledger.sql import rows, tallies
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.endings import Ending, Endings
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.ordering import IN_ORDER
from tickrelay_messaging.ledger.sql.tables import (
    CLAIMED,
    DEAD,
    FENCE,
    ORPHAN,
    WAITING,
    active,
    owners,
    payloads,
)

_REMEMBER_FENCE = "UPDATE meta SET value = ? WHERE name = ? AND CAST(value AS BIGINT) < ?"
MOST_CRASHES = 3
"""Lone crashes after which a message is poison."""


class Owners:
    """See `Ledger.enroll`, `renew`, `retire` and `reap`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def enroll(self, name: str, routes: Iterable[Route], *, lease: float) -> Owner:
        """See `Ledger.enroll`."""
        now = self._database.clock()
        self._names.see(routes, now)
        row = {"name": name, "host": socket.gethostname(), "pid": os.getpid(), "lease": lease}
        number = 0
        try:
            with self._database.write() as connection:
                entered = connection.execute(insert(owners).values(**row, started_at=now, renewed_at=now))
                number = int(entered.inserted_primary_key[0])  # type: ignore[index]  # one row was inserted
                # Before the commit: once others can see the owner, its bell must hang, or they would take it for dead.
                self._database.hang_bell(number)
        except BaseException:
            self._database.take_bell_down(number)  # the number was never given away, so it comes again
            raise
        return Owner(number, name, lease)

    def renew(self, owner: Owner) -> None:
        """See `Ledger.renew`."""
        mine = owners.c.number == owner.number
        with self._database.write() as connection:
            if not connection.execute(
                update(owners).where(mine).values(renewed_at=self._database.clock())
            ).rowcount:
                raise ClaimLost(
                    f"consumer {owner.name} was taken for dead, as it was silent for over {owner.lease:g} s"
                )

    def retire(self, owner: Owner) -> None:
        """See `Ledger.retire`."""
        with self._database.write() as connection:
            mine = (active.c.owner == owner.number, active.c.state == CLAIMED)
            # What has a place in an order keeps it until the broker brings it again.
            is_loose = (active.c.rule.in_(IN_ORDER), active.c.held == 0)
            connection.execute(update(active).where(*mine, *is_loose).values(state=ORPHAN, owner=None))
            claimed = connection.execute(
                select(active.c.key, active.c.held, active.c.fence).where(*mine)
            ).all()
            give_back(connection, self._database.clock(), [(row.key, row.held, row.fence) for row in claimed])
            connection.execute(delete(owners).where(owners.c.number == owner.number))
        self._database.take_bell_down(owner.number)
        self._database.ring(Topic.WORK)

    def reap(self) -> int:
        """See `Ledger.reap`."""
        with self._database.read() as connection:
            is_any_dead, is_to_fold = bool(self._dead_rows(connection)), tallies.is_to_fold(connection)
        if is_to_fold:
            self._fold()
        if not is_any_dead:
            return 0
        with self._database.write() as connection:
            # Asked again inside the transaction: it may have renewed, or somebody else may have reaped it.
            changed = sum(self._bury_owner(connection, row) for row in self._dead_rows(connection))
        self._database.ring(Topic.WORK)
        self._database.ring(Topic.OUTCOMES)
        return changed

    def _fold(self) -> None:
        with self._database.write() as connection:
            if tallies.is_to_fold(connection):
                tallies.fold(connection)

    def _dead_rows(self, connection: Connection) -> list[Any]:
        now = self._database.clock()
        return [row for row in connection.execute(select(owners)) if self._is_dead(row, now)]

    def _is_dead(self, row: Any, now: float) -> bool:
        return row.renewed_at + row.lease < now or self._database.is_alive(row.number) is False

    def _bury_owner(self, connection: Connection, owner: Any) -> int:
        claimed = connection.execute(
            select(active).where(active.c.owner == owner.number, active.c.state == CLAIMED)
        ).all()
        endings = Endings(self._database.clock(), owner.name)
        for row in claimed:
            self._suspect(connection, endings, row, was_alone=bool(row.suspect) and len(claimed) == 1)
        endings.write(connection)
        connection.execute(delete(owners).where(owners.c.number == owner.number))
        return len(claimed)

    def _suspect(self, connection: Connection, endings: Endings, row: Any, *, was_alone: bool) -> None:
        """Only where a suspect ran alone does its consumer's death speak against it."""
        crashes = row.crashes + was_alone
        text = f"consumer {endings.owner} died with this message in hand"
        endings.fail(
            row.key, row.attempt, "crashed alone" if was_alone else "crashed", Failure("ConsumerDied", text)
        )
        endings.counts[(None, row.route, "crashes")] += 1
        if crashes >= MOST_CRASHES:
            self._poison(connection, endings, row, crashes)
            return
        state = WAITING if row.held else ORPHAN
        connection.execute(
            update(active)
            .where(active.c.key == row.key)
            .values(
                state=state,
                owner=None,
                suspect=1,
                ambiguous=1,
                crashes=crashes,
                due=endings.now if row.held else None,
            )
        )

    def _poison(self, connection: Connection, endings: Endings, row: Any, crashes: int) -> None:
        kept = connection.execute(select(payloads).where(payloads.c.key == row.key)).one()
        message = rows.readable_message(kept.headers, kept.body, row.message_id)
        ending = Ending(row.key, row.route, row.source, message, row.attempt, None, row.batch, crashes)
        text = f"{crashes} consumers died while carrying out this message alone; find out why before you replay it"
        endings.die(ending, "poison", Failure("ConsumerDied", text))
        connection.execute(
            update(active)
            .where(active.c.key == row.key)
            .values(state=DEAD, owner=None, crashes=crashes, due=None)
        )


def give_back(connection: Connection, now: float, claims: Sequence[tuple[bytes, int, int]]) -> None:
    """
    Claims that weren't carried out: what the ledger holds waits for the next, what it doesn't the broker still has.

    Args:
        claims: key, whether the ledger holds the payload, and fence.
    """
    rows.WAIT.run(connection, [(now, 0, key) for key, held, _ in claims if held])
    gone = [(key, fence) for key, held, fence in claims if not held]
    if gone:
        rows.DELETE_ACTIVE.run(connection, [(key,) for key, _ in gone])
        fence = max(fence for _, fence in gone)
        rows.cursor(connection).execute(_REMEMBER_FENCE, (str(fence), FENCE, fence))
