# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ending claims: done, again later, dead, or given back; each only while its fence holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.ledger.records import Claim, Failure, Owner, Settlement, Verdict
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import select_by_key, update_rows
from tickrelay_messaging.ledger.sql.database import Database, Topic
from tickrelay_messaging.ledger.sql.endings import Ending, Endings
from tickrelay_messaging.ledger.sql.owners import give_back
from tickrelay_messaging.ledger.sql.tables import CLAIMED, DEAD, active

_BURY = update_rows(active, f"state = {DEAD}, owner = NULL, held = 1, due = NULL", "")
_NO_FAILURE = Failure("", "")


Held = tuple[bytes, int]
"""Key and fence: one claim, and none before or after it."""


def held_claims(connection: Connection, owner: Owner, claims: Sequence[Claim]) -> dict[Held, Any]:
    """The active rows of the claims that are still the owner's: (key, fence, owner, state, held, batch, crashes...)."""
    found = select_by_key(
        connection,
        "fence, owner, state, held, batch, crashes, route, source, attempt",
        "active",
        [claim.key for claim in claims],
    )
    return {
        (claim.key, claim.fence): row
        for claim in claims
        if (row := found.get(claim.key)) and row[1:4] == (claim.fence, owner.number, CLAIMED)
    }


def ending_of(claim: Claim, row: Any) -> Ending:
    """A claim at its end; the batch is the row's, since a later try of the publisher may have moved it."""
    return Ending(
        claim.key,
        route=row[7],
        source=row[8],
        message=claim.message,
        attempts=row[9],
        claimed_at=claim.fence / 1e6,
        batch=row[5],
        crashes=row[6],
    )


def mark_done(connection: Connection, endings: Endings, ended: Sequence[tuple[Claim, Any]]) -> None:
    """Gather done-marks and remove the active rows."""
    for claim, row in ended:
        endings.end(ending_of(claim, row))
    rows.DELETE_ACTIVE.run(connection, [(claim.key,) for claim, _ in ended])
    rows.DELETE_PAYLOAD.run(connection, [(claim.key,) for claim, row in ended if row[4]])


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
        self._database.ring(Topic.OUTCOMES)
        if any(item.verdict in (Verdict.RETRY, Verdict.RELEASE) for item, _ in chosen):
            self._database.ring(Topic.WORK)
        return [row is not None for row in found]

    def _apply(
        self, connection: Connection, endings: Endings, chosen: Sequence[tuple[Settlement, Any]]
    ) -> None:
        by_verdict: dict[Verdict, list[tuple[Settlement, Any]]] = {verdict: [] for verdict in Verdict}
        for settlement, row in chosen:
            by_verdict[settlement.verdict].append((settlement, row))
        mark_done(
            connection, endings, [(settlement.claim, row) for settlement, row in by_verdict[Verdict.DONE]]
        )
        self._retry(connection, endings, by_verdict[Verdict.RETRY])
        self._bury(connection, endings, by_verdict[Verdict.DEAD])
        give_back(
            connection, endings.now, [(row[0], row[4], row[1]) for _, row in by_verdict[Verdict.RELEASE]]
        )

    def _retry(
        self, connection: Connection, endings: Endings, chosen: Sequence[tuple[Settlement, Any]]
    ) -> None:
        for settlement, row in chosen:
            failure = settlement.failure or _NO_FAILURE
            endings.fail(settlement.claim.key, row[9], "failed", failure)
            endings.counts[(None, row[7], "retried")] += 1
        missing = [item.claim for item, row in chosen if not row[4]]
        rows.PUT_PAYLOAD.run(connection, [rows.payload_row(claim.key, claim.message) for claim in missing])
        rows.WAIT.run(connection, [(item.due, 1, item.claim.key) for item, _ in chosen])

    def _bury(
        self, connection: Connection, endings: Endings, chosen: Sequence[tuple[Settlement, Any]]
    ) -> None:
        for settlement, row in chosen:
            failure = settlement.failure or _NO_FAILURE
            endings.fail(settlement.claim.key, row[9], "failed", failure)
            endings.die(ending_of(settlement.claim, row), "failed", failure)
        _BURY.run(connection, [(item.claim.key,) for item, _ in chosen])
