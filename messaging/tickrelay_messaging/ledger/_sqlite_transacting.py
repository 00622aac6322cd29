# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A transaction of the SQLite ledger that is lent to handlers."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

from tickrelay_messaging.ledger.sql.lending import LentTransaction


class SqliteTransacting(LentTransaction):
    """Holds the write lock from its beginning to its end, or until it is aborted."""

    _BEGIN = "BEGIN IMMEDIATE"
    # SQLite does so by itself when the disk is full or broken; what follows would commit each for itself.
    _GONE = "the database has undone the transaction, for want of space or a broken disk"

    def __init__(self, lock: threading.Lock, connect: Callable[[], Connection]) -> None:
        """Takes over a lock that is held."""
        self._lock = lock
        try:
            connection = connect()
            raw = driver(connection)
        except BaseException:
            lock.release()
            raise
        super().__init__(connection, raw)

    def _is_there(self) -> bool:
        return bool(self._raw.in_transaction)

    def _undo(self) -> None:
        rollback(self._raw)

    def _undo_from_outside(self) -> None:
        _disarm(self._raw)

    def _let_go(self) -> None:
        self._lock.release()


_BETWEEN_INTERRUPTS = 0.01


def _disarm(raw: sqlite3.Connection) -> None:
    """Undo a transaction whose handler may be in the middle of a statement, and let it write no more."""
    with _interrupting(raw):
        with suppress(
            sqlite3.OperationalError
        ):  # interrupted itself, but its effect comes before its first step
            raw.execute("PRAGMA query_only=1")
        while raw.in_transaction:
            with suppress(sqlite3.OperationalError):
                raw.rollback()


@contextmanager
def _interrupting(raw: sqlite3.Connection) -> Iterator[None]:
    """
    Again and again, as an interrupt only ends what runs: a statement that was about to begin when it came begins all
    the same, and our own then waits for it at the connection's mutex.
    """
    through = threading.Event()

    def interrupt() -> None:
        while not through.wait(_BETWEEN_INTERRUPTS):
            raw.interrupt()

    raw.interrupt()
    thread = threading.Thread(target=interrupt, name="tickrelay-interrupt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        through.set()
        thread.join()


def rollback(raw: sqlite3.Connection) -> None:
    """Undo, unless SQLite has done so by itself (it does when the disk is full)."""
    if raw.in_transaction:
        raw.execute("ROLLBACK")


def driver(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection under SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found
