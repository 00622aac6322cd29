# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ending claims: done, again later, dead, or given back; each only while its fence holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.records import Claim, Failure, Owner, Settlement, Verdict
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import select_by_key, update_rows
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.endings import Ending, Endings
from tickrelay_messaging.ledger.sql.ordering import IN_ORDER, is_anybody_waiting
from tickrelay_messaging.ledger.sql.owners import MOST_CRASHES, give_back
from tickrelay_messaging.ledger.sql.steps import forget
from tickrelay_messaging.ledger.sql.tables import CLAIMED, WAITING, active

_DOUBT = update_rows(active, "ambiguous = 1", "")
_CRASH = update_rows(
    active,
    f"state = {WAITING}, owner = NULL, held = 1, ambiguous = 1, due = ?, crashes = ?",
    "due crashes",
)
_GOES_ON = (Verdict.RETRY, Verdict.RELEASE, Verdict.CRASHED)
_NO_FAILURE = Failure("", "")


Held = tuple[bytes, int]
"""Key and fence: one claim, and none before or after it."""


class HeldRow(NamedTuple):
    """What settling needs of a row of `active`, by its columns' names."""

    key: bytes
    fence: int
    owner: int | None
    state: int
    held: int
    batch: str | None
    crashes: int
    route: int
    source: int
    attempt: int
    order_key: bytes | None
    rule: int
    stepped: int


_COLUMNS = ", ".join(HeldRow._fields[1:])


def held_claims(connection: Connection, owner: Owner, claims: Sequence[Claim]) -> dict[Held, HeldRow]:
    """The active rows of the claims that are still the owner's."""
    found = select_by_key(connection, _COLUMNS, "active", [claim.key for claim in claims])
    return {
        (claim.key, claim.fence): HeldRow._make(row)
        for claim in claims
        if (row := found.get(claim.key)) and tuple(row[1:4]) == (claim.fence, owner.number, CLAIMED)
    }


def ending_of(claim: Claim, row: HeldRow) -> Ending:
    """A claim at its end; the batch is the row's, since a later try of the publisher may have moved it."""
    return Ending(
        claim.key,
        route=row.route,
        source=row.source,
        message=claim.message,
        attempts=row.attempt,
        claimed_at=claim.fence / 1e6,
        batch=row.batch,
        crashes=row.crashes,
    )


def mark_done(connection: Connection, endings: Endings, ended: Sequence[tuple[Claim, HeldRow]]) -> None:
    """Gather done-marks and remove the active rows."""
    for claim, row in ended:
        endings.end(ending_of(claim, row))
    rows.DELETE_ACTIVE.run(connection, [(claim.key,) for claim, _ in ended])
    rows.DELETE_PAYLOAD.run(connection, [(claim.key,) for claim, row in ended if row.held])
    forget(connection, [claim.key for claim, row in ended if row.stepped])


def are_followed(connection: Connection, held: Iterable[HeldRow]) -> bool:
    """Whether something waits behind these rows in their keys' order."""
    return is_anybody_waiting(connection, (row.order_key for row in held if row.rule in IN_ORDER))


class Settling:
    """See `Ledger.settle`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settle(self, owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        """See `Ledger.settle`."""
        if not settlements:
            return []
        with self._database.write() as connection:
            endings = Endings(self._database.clock(), owner.name)
            held = held_claims(connection, owner, [settlement.claim for settlement in settlements])
            # Taken out, so that a claim settled twice in one call ends once.
            found = [held.pop((item.claim.key, item.claim.fence), None) for item in settlements]
            chosen = [(item, row) for item, row in zip(settlements, found, strict=True) if row is not None]
            self._apply(connection, endings, chosen)
            endings.write(connection)
            is_work = any(item.verdict in _GOES_ON for item, _ in chosen)
            is_work = is_work or are_followed(connection, (row for _, row in chosen))
        self._database.ring(Topic.OUTCOMES)
        if is_work:
            self._database.ring(Topic.WORK)
        return [row is not None for row in found]

    def hold(self, owner: Owner, claims: Sequence[Claim]) -> list[bool]:
        """See `Ledger.hold`."""
        if not claims:
            return []
        with self._database.write() as connection:
            held = held_claims(connection, owner, claims)
            mine = [claim for claim in claims if (claim.key, claim.fence) in held]
            _put(connection, [(claim, held[claim.key, claim.fence]) for claim in mine])
            rows.HOLD.run(connection, [(claim.key,) for claim in mine])
        return [(claim.key, claim.fence) in held for claim in claims]

    def _apply(
        self, connection: Connection, endings: Endings, chosen: Sequence[tuple[Settlement, HeldRow]]
    ) -> None:
        by_verdict: dict[Verdict, list[tuple[Settlement, HeldRow]]] = {verdict: [] for verdict in Verdict}
        for settlement, row in chosen:
            by_verdict[settlement.verdict].append((settlement, row))
        mark_done(
            connection, endings, [(settlement.claim, row) for settlement, row in by_verdict[Verdict.DONE]]
        )
        self._retry(connection, endings, by_verdict[Verdict.RETRY])
        self._bury(connection, endings, by_verdict[Verdict.DEAD])
        self._crash(connection, endings, by_verdict[Verdict.CRASHED])
        self._release(connection, endings.now, by_verdict[Verdict.RELEASE])

    def _retry(
        self, connection: Connection, endings: Endings, chosen: Sequence[tuple[Settlement, HeldRow]]
    ) -> None:
        for settlement, row in chosen:
            _fail(endings, settlement, row, "failed")
            endings.counts[(None, row.route, "retried")] += 1
        _put(connection, [(item.claim, row) for item, row in chosen])
        rows.WAIT.run(connection, [(item.due, 1, item.claim.key) for item, _ in chosen])
        _DOUBT.run(connection, [(item.claim.key,) for item, _ in chosen if item.ambiguous])

    def _crash(
        self, connection: Connection, endings: Endings, chosen: Sequence[tuple[Settlement, HeldRow]]
    ) -> None:
        """It ran alone in its process, so that death speaks against it; it counts no attempt."""
        for settlement, row in chosen:
            failure = _fail(endings, settlement, row, "crashed")
            endings.counts[(None, row.route, "crashes")] += 1
            if row.crashes + 1 >= MOST_CRASHES:
                ending = ending_of(settlement.claim, row)
                ending.crashes = row.crashes + 1
                endings.die(ending, "poison", failure)
        _put(connection, [(item.claim, row) for item, row in chosen])
        _CRASH.run(connection, [(item.due, row.crashes + 1, item.claim.key) for item, row in chosen])
        rows.BURY.run(connection, [(row.key,) for _, row in chosen if row.crashes + 1 >= MOST_CRASHES])

    def _release(
        self, connection: Connection, now: float, chosen: Sequence[tuple[Settlement, HeldRow]]
    ) -> None:
        """One that has a place in an order keeps it: it waits here, whatever the broker does with its delivery."""
        staying = [(item.claim, row) for item, row in chosen if not row.held and row.rule in IN_ORDER]
        _put(connection, staying)
        kept = {claim.key for claim, _ in staying}
        give_back(connection, now, [(row.key, row.held or row.key in kept, row.fence) for _, row in chosen])

    def _bury(
        self, connection: Connection, endings: Endings, chosen: Sequence[tuple[Settlement, HeldRow]]
    ) -> None:
        for settlement, row in chosen:
            failure = _fail(endings, settlement, row, "failed")
            endings.die(ending_of(settlement.claim, row), "failed", failure)
        rows.BURY.run(connection, [(item.claim.key,) for item, _ in chosen])


def _fail(endings: Endings, settlement: Settlement, row: HeldRow, what: str) -> Failure:
    """Gather that the attempt failed; returns why."""
    failure = settlement.failure or _NO_FAILURE
    endings.fail(row.key, row.attempt, what, failure)
    return failure


def _put(connection: Connection, held: Sequence[tuple[Claim, HeldRow]]) -> None:
    """Store the payloads that aren't there yet."""
    missing = [claim for claim, row in held if not row.held]
    rows.PUT_PAYLOAD.run(connection, [rows.payload_row(claim.key, claim.message) for claim in missing])
