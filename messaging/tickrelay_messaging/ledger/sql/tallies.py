# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Counters that never make two consumers wait for one row: each transition inserts its delta in its own transaction, and
sums are made by whoever reads. Now and then the deltas are folded into one row per batch and route.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, select, update

from tickrelay_messaging.ledger.sql.bulk import insert_rows
from tickrelay_messaging.ledger.sql.tables import TALLIED, meta, tallies

FOLD_OVER = 10_000
"""New rows above which reading would become slow, and folding is worth its transaction."""

FOLDED = "folded"
"""Name in `meta` of the last number that was folded: what was folded once is left alone."""

_INSERT = insert_rows(tallies, f"batch route {' '.join(TALLIED)}")

Tally = tuple[str | None, int, str]
"""Batch, route, name of the counter."""


def add(connection: Connection, counts: Counter[Tally]) -> None:
    """Insert deltas; negative ones take back."""
    rows: dict[tuple[str | None, int], dict[str, int]] = {}
    for (batch, route, name), count in counts.items():
        if count:
            rows.setdefault((batch, route), {})[name] = count
    if rows:
        entered = [
            (batch, route, *(names.get(name, 0) for name in TALLIED))
            for (batch, route), names in rows.items()
        ]
        _INSERT.run(connection, entered)


def move(counts: Counter[Tally], old: str | None, new: str | None, where: tuple[int, str]) -> None:
    """A message counts for its batch's newest try instead of an older one."""
    route, name = where
    counts[(old, route, name)] -= 1
    counts[(new, route, name)] += 1


def sums(
    connection: Connection, where: Iterable[object] = ()
) -> dict[tuple[str | None, int], dict[str, int]]:
    """Sums by (batch, route) of the rows that satisfy `where` (SQLAlchemy conditions)."""
    columns = [func.sum(tallies.c[name]).label(name) for name in TALLIED]
    query = select(tallies.c.batch, tallies.c.route, *columns).group_by(tallies.c.batch, tallies.c.route)
    rows = connection.execute(query.where(*where))  # type: ignore[arg-type]  # any SQL condition will do
    return {(row.batch, row.route): {name: int(getattr(row, name)) for name in TALLIED} for row in rows}


def totals(connection: Connection) -> dict[int, dict[str, int]]:
    """Sums by route, over all batches and none."""
    columns = [func.sum(tallies.c[name]).label(name) for name in TALLIED]
    rows = connection.execute(select(tallies.c.route, *columns).group_by(tallies.c.route))
    return {row.route: {name: int(getattr(row, name)) for name in TALLIED} for row in rows}


def is_to_fold(connection: Connection) -> bool:
    """Whether there are many deltas that were never folded; costs two look-ups."""
    return _last(connection) - _folded(connection) > FOLD_OVER


def fold(connection: Connection) -> None:
    """Replace the deltas since the last time by their sums; a batch's deltas lie close together."""
    last = _last(connection)
    fresh = (tallies.c.number > _folded(connection), tallies.c.number <= last)
    folded = sums(connection, fresh)
    # Entered before the others go: a number that comes again would look as if it had been folded.
    _INSERT.run(connection, [(*where, *names.values()) for where, names in folded.items()])
    connection.execute(delete(tallies).where(*fresh))
    connection.execute(update(meta).where(meta.c.name == FOLDED).values(value=str(_last(connection))))


def _last(connection: Connection) -> int:
    return int(connection.execute(select(func.max(tallies.c.number))).scalar() or 0)


def _folded(connection: Connection) -> int:
    return int(connection.execute(select(meta.c.value).where(meta.c.name == FOLDED)).scalar() or 0)
