# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The embedded ledger: one SQLite file, shared by the processes of one host."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from tickrelay_messaging import doorbell, sqlite_file
from tickrelay_messaging.doorbell import Doorbell
from tickrelay_messaging.errors import CallerError, ClaimLost, LedgerUnavailable
from tickrelay_messaging.ledger.sql.database import Database, Topic, Transacting
from tickrelay_messaging.ledger.sql import SqlLedger

APPLICATION_ID = 0x544B4C47
"""Marks the file as a Tickrelay ledger ("TKLG")."""

GUARDED = "tickrelay_guarded"
"""Set in a connection's `info` while a handler has it in hand."""


class SqliteDatabase(Database):
    """
    Args:
        path: the file; made with mode 0600 if missing.
        clock: Unix seconds, for tests.
    """

    def __init__(self, path: Path, clock: Callable[[], float] | None = None) -> None:
        self.path = path
        if clock is not None:
            self.clock = clock
        sqlite_file.prepare(path)
        self._bells = path.with_name(path.name + ".bells")
        self._owners: dict[int, Doorbell] = {}
        self._watcher = threading.local()
        self._engine = _engine(path)
        self._pid = os.getpid()

    @property
    def lock(self) -> threading.Lock:
        """Held while this process writes."""
        return sqlite_file.write_lock(self.path)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._translated(), self._live_engine().connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self.lock, self._translated(), self._live_engine().connect() as connection:
            self.begin(connection)
            try:
                yield connection
            except BaseException:
                rollback(connection)
                raise
            connection.exec_driver_sql("COMMIT")

    def connect(self) -> Connection:
        """A connection outside a transaction, to be closed by the caller."""
        with self._translated():
            return self._live_engine().connect()

    def begin(self, connection: Connection) -> None:
        """Start a writing transaction; the caller holds `lock`."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @contextmanager
    def transact(self) -> Iterator[SqliteTransacting]:
        transacting = SqliteTransacting(self)
        try:
            with self._translated():
                yield transacting
                transacting.commit()
        finally:
            transacting.end()

    def ring(self, topic: Topic) -> None:
        doorbell.ring(self._bells / topic.value)

    def wait(self, timeout: float | None) -> bool:
        bell: Doorbell | None = getattr(self._watcher, "bell", None)
        if bell is None:
            self._watcher.bell = Doorbell(self._bells / Topic.OUTCOMES.value)
            return True
        return bell.wait(timeout)

    def hang_bell(self, owner: int) -> None:
        self._owners[owner] = Doorbell(self._bells / Topic.WORK.value, str(owner))

    def wait_for_work(self, owner: int, timeout: float | None) -> bool:
        return self._owners[owner].wait(timeout)

    def take_bell_down(self, owner: int) -> None:
        if bell := self._owners.pop(owner, None):
            bell.close()

    def is_alive(self, owner: int) -> bool | None:
        return doorbell.is_alive(self._bells / Topic.WORK.value, str(owner))

    def close(self) -> None:
        for owner in list(self._owners):
            self.take_bell_down(owner)
        self._engine.dispose()

    def _live_engine(self) -> Engine:
        """After a fork the child connects anew: SQLite's connections must not cross it."""
        if self._pid != os.getpid():
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    @contextmanager
    def _translated(self) -> Iterator[None]:
        where = f"ledger {self.path}"
        try:
            yield
        except sqlite3.OperationalError as error:
            raise sqlite_file.translate_error(error, where, LedgerUnavailable) from error
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            if isinstance(error.orig, sqlite3.Error):
                raise sqlite_file.translate_error(error.orig, where, LedgerUnavailable) from error
            raise


class SqliteTransacting(Transacting):
    """Holds the write lock from its beginning to its end, or until it is aborted."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._lock = database.lock
        self._state = threading.Lock()
        self.is_open = False
        self._lock.acquire()
        try:
            self.connection = database.connect()
            database.begin(self.connection)
        except BaseException:
            self._lock.release()
            raise
        self.is_open = True

    @contextmanager
    def guarded(self) -> Iterator[None]:
        self.connection.info[GUARDED] = True
        try:
            yield
        finally:
            self.connection.info[GUARDED] = False
        if not self.is_open:
            raise ClaimLost("the handler ran past its timeout and its transaction was undone")

    def commit(self) -> None:
        with self._state:
            if not self.is_open:
                raise ClaimLost("the transaction was undone because a handler ran past its timeout")
            self.connection.exec_driver_sql("COMMIT")
            self._close()

    def abort(self) -> None:
        with self._state:
            if self.is_open:
                raw = driver(self.connection)
                raw.interrupt()
                raw.rollback()
                self.is_open = False
                self._lock.release()

    def end(self) -> None:
        """Undo what wasn't committed. After an abort the connection is thrown away, as its user may still hold it."""
        with self._state:
            if self.is_open:
                rollback(self.connection)
                self._close()
            elif not self.connection.closed:
                self.connection.invalidate()
                self.connection.close()

    def _close(self) -> None:
        self.is_open = False
        self.connection.close()
        self._lock.release()


def rollback(connection: Connection) -> None:
    """Undo, unless SQLite has done so by itself (it does when the disk is full)."""
    if driver(connection).in_transaction:
        connection.exec_driver_sql("ROLLBACK")


def driver(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection under SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)  # noqa: S101 - tells mypy; the engine's creator makes it
    return found


def _engine(path: Path) -> Engine:
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite_file.connect(path, APPLICATION_ID),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=64,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
    )
    event.listen(engine, "commit", _refuse_when_guarded)
    event.listen(engine, "rollback", _refuse_when_guarded)
    return engine


def _refuse_when_guarded(connection: Connection) -> None:
    if connection.info.get(GUARDED):
        raise CallerError(
            "a handler with effect='transaction' must neither commit nor roll back: "
            "its writes commit together with the message's done-mark; raise an exception to undo them"
        )


class SqliteLedger(SqlLedger):
    """See `Ledger`. Owners' lives are proven by their doorbells, so a killed process is noticed at once."""

    def __init__(self, path: Path, clock: Callable[[], float] | None = None) -> None:
        self.database: SqliteDatabase = SqliteDatabase(path, clock)
        super().__init__(self.database)
