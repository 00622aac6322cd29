# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Which tables hold what ended: up to three for the done-marks of each group, up to three for everybody's history.

Whoever writes reads the list anew in its own transaction, alone, so that nobody writes into a table that was retired.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.tables import buckets, routes
from tickrelay_messaging.ledger.sql.tables_buckets import history_table, marks_table

MOST = 3
"""Of a group, or of history: each costs every claim a look."""
SPAN = 43_200.0
"""Seconds that a bucket is written to, until a sweep tells the retention."""
EXTENSION = 60.0
"""Seconds by which whoever writes puts the end off, where no sweep has opened a new bucket in time."""

_LIVE = (
    "SELECT b.number, b.group_name, b.until, b.first, r.number FROM buckets b "
    "LEFT JOIN routes r ON r.group_name = b.group_name WHERE b.retired_at IS NULL ORDER BY b.number DESC"
)


class Bucket(NamedTuple):
    """
    A table of marks or of history.

    Attributes:
        group: whose marks; None for history.
        until: later than every end in it.
        first: the lowest number its history may have.
    """

    number: int
    group: str | None
    until: float
    first: int

    @property
    def table(self) -> str:
        """Its name."""
        return f"{'history' if self.group is None else 'done'}_{self.number}"


class Live:
    """
    The buckets in use, as one transaction sees them; the newest first, which is the one written to.

    Attributes:
        marks: by route's number.
        history: everybody's.
    """

    def __init__(self, found: Sequence[tuple[int, str | None, float, int, int | None]]) -> None:
        self.history: list[Bucket] = []
        self.marks: dict[int, list[Bucket]] = {}
        for number, group, until, first, route in found:
            bucket = Bucket(number, group, until, first)
            if group is None:
                self.history.append(bucket)
            elif route is not None:
                self.marks.setdefault(route, []).append(bucket)

    def history_of(self, number: int) -> Bucket | None:
        """Where this number's row is; None if it has had its time."""
        return next((bucket for bucket in self.history if bucket.first <= number), None)


def live(connection: Connection) -> Live:
    """What there is now."""
    return Live(rows.cursor(connection).execute(_LIVE).fetchall())


def extend(connection: Connection, written: Sequence[Bucket], now: float) -> None:
    """Keep the promise of `until`."""
    for bucket in written:
        if bucket.until <= now:
            set_until(connection, bucket, now + EXTENSION)


def set_until(connection: Connection, bucket: Bucket, until: float) -> None:
    """Promise something else."""
    rows.cursor(connection).execute("UPDATE buckets SET until = ? WHERE number = ?", (until, bucket.number))


def open_bucket(connection: Connection, group: str | None, until: float, *, first: int = 0) -> Bucket:
    """Make a table and write to it from now on."""
    entry = insert(buckets).values(group_name=group, until=until, first=first)
    number = int(connection.execute(entry).inserted_primary_key[0])  # type: ignore[index]  # one was inserted
    is_hashed = connection.dialect.name == "postgresql"
    table = history_table(number) if group is None else marks_table(number, hashed=is_hashed)
    table.create(connection)
    return Bucket(number, group, until, first)


def open_first(connection: Connection, group: str | None, now: float) -> None:
    """The first bucket of a group, unless it has one."""
    same = buckets.c.group_name.is_(None) if group is None else buckets.c.group_name == group
    query = select(buckets.c.number).where(same, buckets.c.retired_at.is_(None)).limit(1)
    if connection.execute(query).first() is None:
        open_bucket(connection, group, now + SPAN, first=1)


def open_missing(connection: Connection, now: float) -> None:
    """The first bucket of everybody who has none."""
    for group in (None, *connection.execute(select(routes.c.group_name).distinct()).scalars().all()):
        open_first(connection, group, now)


def last_number(connection: Connection, bucket: Bucket) -> int:
    """The highest number there is in the history, of which this bucket is the newest."""
    query = f"SELECT max(number) FROM {bucket.table}"  # noqa: S608 - our own name
    return rows.cursor(connection).execute(query).fetchone()[0] or bucket.first - 1
