# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Counters that never make two consumers wait for one row: each transition inserts its delta in its own transaction, and
sums are made by whoever reads. Now and then the deltas are folded into one row per batch and route.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, insert, select

from tickrelay_messaging.ledger.sql.rows import run_many
from tickrelay_messaging.ledger.sql.tables import TALLIED, tallies

FOLD_OVER = 20_000
"""Rows above which reading would become slow, and folding is worth its transaction."""

_INSERT = (
    f"INSERT INTO tallies (batch, route, {', '.join(TALLIED)}) VALUES ({','.join('?' * (2 + len(TALLIED)))})"  # noqa: S608
)

Tally = tuple[str | None, int, str]
"""Batch, route, name of the counter."""


def add(connection: Connection, counts: Counter[Tally]) -> None:
    """Insert deltas; negative ones take back."""
    rows: dict[tuple[str | None, int], dict[str, int]] = {}
    for (batch, route, name), count in counts.items():
        if count:
            rows.setdefault((batch, route), {})[name] = count
    if rows:
        entered = [(batch, route, *(names.get(name, 0) for name in TALLIED)) for (batch, route), names in rows.items()]
        run_many(connection, _INSERT, entered)


def move(counts: Counter[Tally], old: str | None, new: str | None, where: tuple[int, str]) -> None:
    """A message counts for its batch's newest try instead of an older one."""
    route, name = where
    counts[(old, route, name)] -= 1
    counts[(new, route, name)] += 1


def sums(connection: Connection, where: Iterable[object] = ()) -> dict[tuple[str | None, int], dict[str, int]]:
    """Sums by (batch, route) of the rows that satisfy `where` (SQLAlchemy conditions)."""
    columns = [func.sum(tallies.c[name]).label(name) for name in TALLIED]
    query = select(tallies.c.batch, tallies.c.route, *columns).group_by(tallies.c.batch, tallies.c.route)
    rows = connection.execute(query.where(*where))  # type: ignore[arg-type]  # any SQL condition will do
    return {(row.batch, row.route): {name: int(getattr(row, name)) for name in TALLIED} for row in rows}


def fold(connection: Connection) -> None:
    """Replace the deltas by their sums, if there are many."""
    if (connection.execute(select(func.count()).select_from(tallies)).scalar() or 0) < FOLD_OVER:
        return
    folded = sums(connection)
    connection.execute(delete(tallies))
    connection.execute(
        insert(tallies), [{**names, "batch": batch, "route": route} for (batch, route), names in folded.items()]
    )
