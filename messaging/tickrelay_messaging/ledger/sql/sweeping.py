# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Forgetting what ended long ago: the oldest first, slice by slice.

A bucket is a slice of the history, which is numbered in the order of ends; each goes in a transaction of its own, so
short that no other writer notices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from sqlalchemy import delete, select

from tickrelay_messaging.ledger.records import Retention, Swept
from tickrelay_messaging.ledger.sql.bulk import delete_rows
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.tables import done, failures, history

SLICE = 500
_FORGET_DONE = delete_rows(done)
_FORGET_FAILURES = delete_rows(failures)


class Sweeping:
    """See `Ledger.sweep`. A done-mark goes together with what people read of it, when both have had their time."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def sweep(self, marks: Mapping[str, float], retention: Retention) -> Swept:
        """See `Ledger.sweep`."""
        now = self._database.clock()
        until = {
            number: min(now - retention.history, min(now, marks.get(route.group, -inf)) - retention.dedup)
            for route, number in self._names.all_routes().items()
        }
        latest = max(until.values(), default=-inf)
        slices, after = 0, 0
        while (found := self._slice(after)) and found[0].ended_at < latest:
            old = [row for row in found if row.ended_at < until.get(row.route, -inf)]
            if old:
                self._forget(old)
                slices += 1
            after = found[-1].number
        return Swept(slices, slices)

    def _slice(self, after: int) -> Sequence[Any]:
        columns = (history.c.number, history.c.key, history.c.route, history.c.ended_at)
        query = select(*columns).where(history.c.number > after).order_by(history.c.number).limit(SLICE)
        with self._database.read() as connection:
            return connection.execute(query).all()

    def _forget(self, old: Sequence[Any]) -> None:
        keys = [(row.key,) for row in old]
        numbers = [row.number for row in old]
        with self._database.write() as connection:
            _FORGET_DONE.run(connection, keys)
            _FORGET_FAILURES.run(connection, keys)
            connection.execute(delete(history).where(history.c.number.in_(numbers)))
