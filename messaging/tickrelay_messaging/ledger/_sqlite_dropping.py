# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Dropping a large SQLite table while others write.

`DROP TABLE` visits every page in one transaction, half a second for a million rows. So the table is emptied from its
front first, in the order its rows lie in: page after page falls free, at a tenth of what it costs to write them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from tickrelay_messaging.ledger._sqlite_transacting import driver

_HOLD = 0.005
"""Seconds that the write lock should be held at a time."""
_FEWEST, _MOST = 100, 20_000
"""Rows in a slice."""


def drop_in_slices(
    write: Callable[[], AbstractContextManager[Connection]], table: str, ordered_by: str
) -> None:
    """
    Empty a table and drop it, resting after each slice as long as it took, so that other processes get their turn.

    Args:
        write: a writing transaction.
        ordered_by: the column by which the table is a tree.
    """
    size, is_empty = 1_000, False
    while not is_empty:
        began = time.monotonic()
        with write() as connection:
            is_empty = _empty_front(connection, (table, ordered_by), size)
            if is_empty:
                driver(connection).execute(f"DROP TABLE IF EXISTS {table}")
        took = time.monotonic() - began
        size = int(min(_MOST, max(_FEWEST, size * min(2.0, _HOLD / max(took, 1e-6)))))
        time.sleep(took)


def _empty_front(connection: Connection, what: tuple[str, str], size: int) -> bool:
    """Delete the first rows; returns whether that was all."""
    table, column = what
    raw = driver(connection)
    if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
        return True
    query = f"SELECT {column} FROM {table} ORDER BY {column} LIMIT 1 OFFSET ?"  # noqa: S608 - our own names
    stop = raw.execute(query, (size,)).fetchone()
    if stop is None:
        raw.execute(f"DELETE FROM {table}")  # noqa: S608
        return True
    raw.execute(f"DELETE FROM {table} WHERE {column} < ?", stop)  # noqa: S608
    return False
