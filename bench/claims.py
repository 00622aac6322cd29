# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a claim costs as the ledger grows."""

from __future__ import annotations

import os
import sqlite3
import statistics
from pathlib import Path

from bench.report import Row, scratch, show, timed
from tickrelay_messaging.ledger import Ledger, open_ledger
from tickrelay_messaging.ledger.records import Outcome, Owner, Route, Settlement, Verdict
from tickrelay_messaging.message import Message

BATCH = 256
SMALL, LARGE = 10_000, 1_000_000
FLAT = 1.5
ROUTE = Route("orders", "default", "bench")


def main(*, short: bool) -> None:
    """Print the table; turn by turn on both ledgers, so that a slow moment of the machine hits both."""
    large = 200_000 if short else LARGE
    with scratch() as folder:
        ledgers = [_filled(folder / f"{rows}.db", rows) for rows in (SMALL, large)]
        costs: list[list[tuple[float, float]]] = [[], []]
        for _ in range(12 if short else 60):
            for cost, (ledger, owner) in zip(costs, ledgers, strict=True):
                cost.append(_one_round(ledger, owner))
    show(
        f"Claim and settle, SQLite, batches of {BATCH}: cost a message as the ledger grows",
        _rows(costs, large),
    )


def _rows(costs: list[list[tuple[float, float]]], large: int) -> list[Row]:
    rows: list[Row] = []
    for column, what in enumerate(("claim", "settle")):
        few, many = (statistics.median(row[column] for row in cost) * 1e6 / BATCH for cost in costs)
        goal = (f"<= {FLAT} x of {SMALL:,}", many <= FLAT * few) if what == "claim" else ("", None)
        rows += [Row(what, f"{SMALL:,} rows", few, "us"), Row(what, f"{large:,} rows", many, "us", *goal)]
        rows.append(Row(what, "ratio", many / few, "x"))
    return rows


def _one_round(ledger: Ledger, owner: Owner) -> tuple[float, float]:
    messages = [Message.of({"n": number}) for number in range(BATCH)]
    claims = ledger.claim(owner, ROUTE, messages[:1])
    claim_seconds = timed(lambda: claims.extend(ledger.claim(owner, ROUTE, messages[1:])))
    running = [Settlement(claim, Verdict.DONE) for claim in claims if claim.outcome is Outcome.RUN]
    return claim_seconds, timed(lambda: ledger.settle(owner, running))


def _filled(path: Path, rows: int) -> tuple[Ledger, Owner]:
    """A ledger with so many done messages, entered past its verbs since a million of them would take a minute."""
    ledger = open_ledger(f"sqlite:///{path}")
    owner = ledger.enroll("bench", [ROUTE])
    connection = sqlite3.connect(path)
    for at in range(0, rows, 10_000):
        keys = sorted(os.urandom(16) for _ in range(min(10_000, rows - at)))
        connection.executemany(
            "INSERT INTO history (number, key, route, message_id, source, state, attempts, ended_at, owner) "
            "VALUES (?, ?, 1, hex(randomblob(16)), 1, 1, 1, 0, 'bench')",
            [(at + number, key) for number, key in enumerate(keys, 1)],
        )
        connection.executemany(
            "INSERT INTO done VALUES (?, ?)", [(key, at + n) for n, key in enumerate(keys, 1)]
        )
        connection.commit()
    connection.close()
    return ledger, owner
