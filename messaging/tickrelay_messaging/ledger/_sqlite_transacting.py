# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A transaction of the SQLite ledger that is lent to handlers.

They get SQLAlchemy's connection, whose statements are looked at before they run; the transaction's own ones go past it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

from tickrelay_messaging.errors import ClaimLost, LedgerUnavailable
from tickrelay_messaging.ledger.sql.database import Transacting
from tickrelay_messaging.ledger.sql.guard import UNDONE, forgive, guarded, lend


class SqliteTransacting(Transacting):
    """
    Holds the write lock from its beginning to its end, or until it is aborted.

    Its own statements go past SQLAlchemy, whose connection is the handlers' and may be left in any state by them.
    """

    def __init__(self, lock: threading.Lock, connect: Callable[[], Connection]) -> None:
        """Takes over a lock that is held."""
        self._lock = lock
        self._state = threading.Lock()
        self.is_open = False
        try:
            self.connection = connect()
            self._raw = driver(self.connection)
            lend(self.connection)
        except BaseException:
            self._lock.release()
            raise
        try:
            self._raw.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._close()
            raise
        self.is_open = True

    @contextmanager
    def part(self) -> Iterator[None]:
        self._run("SAVEPOINT part")
        try:
            with guarded(self):
                yield
        except BaseException:
            self._undo_part()
            raise
        self._run("RELEASE part")
        forgive(self.connection)

    def _undo_part(self) -> None:
        if self.is_open:
            self._run("ROLLBACK TO part")
            self._run("RELEASE part")
            forgive(self.connection)

    def _run(self, statement: str) -> None:
        with self._state:
            self.check()
            self._raw.execute(statement)

    def check(self) -> None:
        if not self.is_open:
            raise ClaimLost(UNDONE)
        if not self._raw.in_transaction:
            # SQLite does so by itself when the disk is full or broken; what follows would commit each for itself.
            raise LedgerUnavailable(
                "the database has undone the transaction, for want of space or a broken disk"
            )

    def commit(self) -> None:
        """
        Make it all last.

        Raises:
            ClaimLost: it was aborted.
        """
        with self._state:
            self.check()
            self._raw.execute("COMMIT")
            self._close()

    def abort(self) -> None:
        with self._state:
            if self.is_open:
                self.is_open = False  # From here on the guard refuses the handler's statements.
                _disarm(self._raw)
                self._lock.release()

    def end(self) -> None:
        """Undo what wasn't committed. After an abort the connection is thrown away, as its user may still hold it."""
        with self._state:
            if self.is_open:
                self._close()
            elif not self.connection.closed:
                self.connection.invalidate()
                Connection.close(self.connection)

    def _close(self) -> None:
        self.is_open = False
        try:
            rollback(self._raw)
            Connection.close(self.connection)
        finally:
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
