# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which DAG run has which message, in a SQL ledger."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from tickrelay_messaging.ledger.assignments import ASSIGNED_FOR, Assignments
from tickrelay_messaging.ledger.sql.bulk import insert_rows, select_by_key
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import assignments

_INSERT = insert_rows(assignments, "key taker day", ignore=True)


class SqlAssignments(Assignments):
    """See `ledger.assignments.Assignments`. Each call drops old rows, at most twice as many as it may have made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _assign(self, keys: Sequence[bytes], taker: bytes) -> list[bool]:
        day = int(self._database.clock() // ASSIGNED_FOR)
        with self._database.write() as connection:
            _INSERT.run(connection, [(key, taker, day) for key in dict.fromkeys(keys)])
            found = select_by_key(connection, "taker", assignments.name, keys)
            _forget(connection, day - 1, 2 * len(keys))
        return [bytes(found[key][1]) == taker for key in keys]


def _forget(connection: Connection, before: int, limit: int) -> None:
    key, day = assignments.c.key, assignments.c.day
    # In two statements: MySQL takes no LIMIT in a subquery.
    old = connection.execute(select(key).where(day < before).limit(limit)).scalars().all()
    if old:
        connection.execute(delete(assignments).where(key.in_(old)))
