# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Forgetting what ended long ago, a bucket at a time.

A bucket is retired first, in a transaction that changes one row; from then on nobody looks into it, and its table is
dropped when whoever was still reading it has gone. So no writer waits for the dropping, however large the table is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from sqlalchemy import Connection, delete, exists, select, update

from tickrelay_messaging.ledger.records import Retention, Swept
from tickrelay_messaging.ledger.sql.buckets import (
    EXTENSION,
    MOST,
    Bucket,
    last_number,
    open_bucket,
    set_until,
)
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import active, buckets, failures

_GRACE = 60.0
"""Seconds for reading transactions that still see a retired bucket as one in use."""
_CHUNK = 500


class Sweeping:
    """See `Ledger.sweep`. Marks stay at least as long as what people read of their messages, which they lead to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sweep(self, marks: Mapping[str, float], retention: Retention) -> Swept:
        """See `Ledger.sweep`."""
        now = self._database.clock()
        known_for = max(retention.dedup, retention.history)
        with self._database.read() as connection:
            groups = {bucket.group for bucket in _in_use(connection)} - {None}
        gone = sum(
            self._turn(group, min(now, marks.get(group or "", -inf)) - known_for, known_for / (MOST - 1))
            for group in groups
        )
        read = self._turn(None, now - retention.history, retention.history / (MOST - 1))
        self._forget_failures(now - retention.history)
        self._drop_retired(now - _GRACE)
        return Swept(gone, read)

    def _turn(self, group: str | None, limit: float, span: float) -> int:
        """
        Retire those of a group that end before the limit, and open the next one when it's time.

        Returns:
            how many were retired.
        """
        with self._database.write() as connection:
            now = self._database.clock()
            found = [bucket for bucket in _in_use(connection) if bucket.group == group]
            newest = found[-1]
            over = [bucket for bucket in found if bucket.until < limit]
            # Soon rather than now: who writes puts the end off, a little at a time.
            is_ripe = newest.until <= now + min(EXTENSION, span / 2)
            if newest.until > now + span or (is_ripe and _is_empty(connection, newest)):
                set_until(connection, newest, now + span)
                over = [bucket for bucket in over if bucket is not newest]
            elif newest in over or (is_ripe and len(found) - len(over) < MOST):
                first = last_number(connection, newest) + 1 if group is None else 0
                open_bucket(connection, group, now + span, first=first)
            _retire(connection, over, now)
        return len(over)

    def _drop_retired(self, before: float) -> None:
        query = select(buckets).where(buckets.c.retired_at < before).order_by(buckets.c.number)
        with self._database.read() as connection:
            found = [_bucket(row) for row in connection.execute(query)]
        for bucket in found:
            if self._database.drop(bucket.table, ordered_by="number" if bucket.group is None else "key"):
                with self._database.write() as connection:
                    connection.execute(delete(buckets).where(buckets.c.number == bucket.number))

    def _forget_failures(self, before: float) -> None:
        """Few, beside the messages; those of messages that haven't ended stay."""
        is_old = (failures.c.at < before, ~exists().where(active.c.key == failures.c.key))
        query = select(failures.c.number).where(*is_old).order_by(failures.c.number).limit(_CHUNK)
        found: Sequence[int] = range(_CHUNK)
        while len(found) == _CHUNK:
            with self._database.read() as connection:
                found = connection.execute(query).scalars().all()
            if found:
                with self._database.write() as connection:
                    connection.execute(delete(failures).where(failures.c.number.in_(found)))


def _in_use(connection: Connection) -> list[Bucket]:
    """The oldest first."""
    query = select(buckets).where(buckets.c.retired_at.is_(None)).order_by(buckets.c.number)
    return [_bucket(row) for row in connection.execute(query)]


def _bucket(row: tuple[int, str | None, float, int, float | None]) -> Bucket:
    return Bucket(*row[:4])


def _is_empty(connection: Connection, bucket: Bucket) -> bool:
    query = f"SELECT 1 FROM {bucket.table} LIMIT 1"  # noqa: S608 - our own name
    return connection.exec_driver_sql(query).first() is None


def _retire(connection: Connection, over: Sequence[Bucket], now: float) -> None:
    numbers = [bucket.number for bucket in over]
    if numbers:
        connection.execute(update(buckets).where(buckets.c.number.in_(numbers)).values(retired_at=now))
