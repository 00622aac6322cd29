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

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tickrelay_messaging import doorbell, sqlite_file
from tickrelay_messaging.doorbell import Doorbell
from tickrelay_messaging.errors import ClaimLost, ConfigurationError, LedgerUnavailable
from tickrelay_messaging.ledger._sqlite_dropping import drop_in_slices
from tickrelay_messaging.ledger._sqlite_transacting import SqliteTransacting, driver, rollback
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.sql import SqlLedger
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.pooling import Connections

APPLICATION_ID = 0x544B4C47
"""Marks the file as a Tickrelay ledger ("TKLG")."""


class SqliteDatabase(Database):
    """
    Args:
        path: the file; made with mode 0600 if missing.
        clock: Unix seconds, for tests.
    """

    def __init__(self, path: Path, clock: Callable[[], float] | None = None) -> None:
        if clock is not None:
            self.clock = clock
        try:
            sqlite_file.prepare(path)
        except OSError as error:
            raise ConfigurationError(
                f"{path}: {error.strerror}; choose a path this user may write to"
            ) from error
        # Whatever name the file is opened by, wherever the process goes: the bells must be found in one place.
        self.path = Path(os.path.realpath(path))
        self._bells = self.path.with_name(self.path.name + ".bells")
        self._bells.mkdir(mode=0o700, exist_ok=True)
        self._owners: dict[int, Doorbell] = {}
        self._watcher = threading.local()
        self._pool = Connections("sqlite://", self._connect)

    def take_lock(self) -> threading.Lock:
        """
        The lock held while this process writes, taken; whoever takes it releases it.

        Raises:
            LedgerUnavailable: a thread keeps it; it may be a handler that hangs inside its transaction.
        """
        lock, patience = sqlite_file.write_lock(self.path), sqlite_file.BUSY_SECONDS
        if not lock.acquire(timeout=patience):
            raise LedgerUnavailable(
                f"ledger {self.path}: another thread of this process has been writing for over {patience:g} s; "
                "see which handler hangs inside its transaction"
            )
        return lock

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._translated(), self._pool.engine().connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        lock = self.take_lock()
        try:
            with self._translated(), self._pool.engine().connect() as connection:
                raw = driver(connection)
                raw.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    raw.execute("COMMIT")
                except BaseException:
                    rollback(raw)
                    raise
        finally:
            lock.release()

    @contextmanager
    def transact(self) -> Iterator[SqliteTransacting]:
        with self._translated():
            transacting = SqliteTransacting(self.take_lock(), self._pool.engine().connect)
            try:
                yield transacting
                transacting.commit()
            finally:
                transacting.end()

    def ring(self, topic: Topic) -> None:
        doorbell.ring(self._bells / topic.value)

    def wait(self, timeout: float | None) -> bool:
        bell: Doorbell | None = getattr(self._watcher, "bell", None)
        if bell is None or bell.fileno() < 0:  # none yet, or left behind by a fork
            self._watcher.bell = Doorbell(self._bells / Topic.OUTCOMES.value)
            return True
        return bell.wait(timeout)

    def hang_bell(self, owner: int) -> None:
        self._owners[owner] = Doorbell(self._bells / Topic.WORK.value, str(owner))

    def wait_for_work(self, owner: int, timeout: float | None) -> bool:
        bell = self._owners.get(owner)
        if bell is None or bell.fileno() < 0:
            raise ClaimLost("this consumer has retired, or was enrolled by another process")
        return bell.wait(timeout)

    def take_bell_down(self, owner: int) -> None:
        if bell := self._owners.pop(owner, None):
            bell.close()

    def is_alive(self, owner: int) -> bool | None:
        return doorbell.is_alive(self._bells / Topic.WORK.value, str(owner))

    def drop(self, table: str, *, ordered_by: str) -> bool:
        drop_in_slices(self.write, table, ordered_by)
        return True

    def close(self) -> None:
        for owner in list(self._owners):
            self.take_bell_down(owner)
        self._pool.close_idle()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite_file.connect(self.path, APPLICATION_ID, LedgerUnavailable)
        # Some systems' SQLite writes zeros over what is deleted, which makes dropping as slow as writing was; so it
        # still does where that costs no write of its own.
        connection.execute("PRAGMA secure_delete=FAST")
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        where = f"ledger {self.path}"
        try:
            yield
        except (sqlite3.Error, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            is_bug = isinstance(cause, sqlite3.IntegrityError | sqlite3.ProgrammingError)
            if is_bug or not isinstance(cause, sqlite3.Error):
                raise
            raise sqlite_file.translate_error(cause, where, LedgerUnavailable) from error


class SqliteLedger(SqlLedger):
    """See `Ledger`. Owners' lives are proven by their doorbells, so a killed process is noticed at once."""

    def __init__(self, path: Path, clock: Callable[[], float] | None = None) -> None:
        self.database: SqliteDatabase = SqliteDatabase(path, clock)
        try:
            super().__init__(self.database)
        except BaseException:
            self.database.close()
            raise
