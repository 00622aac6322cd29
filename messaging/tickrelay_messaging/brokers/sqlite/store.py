# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One connection to one file in one process, its transactions taken in turn.

SQLite lets one writer in at a time and makes the others sleep and ask again. Inside a process a lock hands
the turn on at once instead, so all brokers of a process that name one file share one `Store`.

A connection must not live through a fork: the child would believe it holds locks that are the parent's. So
before every fork the connections are closed, and both sides connect anew when they next need to.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

from tickrelay_messaging.brokers.sqlite.file import connect, in_our_words
from tickrelay_messaging.brokers.sqlite.schema import PATIENCE
from tickrelay_messaging.errors import BrokerUnavailable


class CommitUnknown(BrokerUnavailable):
    """The disk failed while a commit was being written: it may or may not have reached it."""


class Store:
    """
    Serialises this process's use of one file; safe from any thread. Get one with `Store.at`.

    Attributes:
        path: the database file, resolved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = Lock()
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._patience = PATIENCE
        self._users = 0

    @classmethod
    def at(cls, path: Path) -> Store:
        """The process's one store for a file, with one more user; opens it to see that it can be used."""
        with _registry:
            store = _stores.setdefault(path, cls(path))
            store._users += 1  # noqa: SLF001 - its own class
        try:
            with store.read():
                return store
        except BaseException:
            store.leave()
            raise

    def leave(self) -> None:
        """One user less; the last one closes the connection."""
        with _registry, self._turn:
            self._users -= 1
            if self._users <= 0:
                self._disconnect()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """
        A turn for single queries, each of which sees one moment.

        Raises:
            ServiceError: in our words, whatever SQLite says.
        """
        with self._my_turn(PATIENCE) as db:
            yield db

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A turn in which all queries see the same moment. Raises as `read`."""
        with self._my_turn(PATIENCE) as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")

    @contextmanager
    def write(self, patience: float = PATIENCE) -> Iterator[sqlite3.Connection]:
        """
        One write transaction: all of the block, durably, or nothing of it.

        Args:
            patience: longest wait in seconds for this process's other threads, and for other processes.

        Raises:
            CommitUnknown: the disk failed during the commit itself.
            ServiceError: nothing was written.
        """
        with self._my_turn(patience) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                _roll_back(db)
                raise
            self._commit(db)

    def pause(self) -> None:
        """Close the connection and let nobody make another until `resume`."""
        self._turn.acquire()
        self._disconnect()

    def resume(self) -> None:
        """Let others connect again."""
        self._turn.release()

    def _commit(self, db: sqlite3.Connection) -> None:
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(db)
            ours = in_our_words(error, self.path)
            if type(ours) is BrokerUnavailable and error.sqlite_errorname.startswith("SQLITE_IOERR"):
                self._disconnect()
                raise CommitUnknown(str(ours)) from error
            raise ours from error

    @contextmanager
    def _my_turn(self, patience: float) -> Iterator[sqlite3.Connection]:
        if not self._turn.acquire(timeout=max(patience, 0)):
            raise BrokerUnavailable(
                f"{self.path}: other threads of this process kept it busy for {patience:.1f} s"
            )
        try:
            db = self._connection()
            self._be_patient(db, patience)
            yield db
        except sqlite3.Error as error:
            raise in_our_words(error, self.path) from error
        finally:
            self._turn.release()

    def _connection(self) -> sqlite3.Connection:
        """The connection, made anew if there is none or if its file was taken away or replaced."""
        if self._db is not None and self._file != _identity(self.path):
            self._disconnect()
        if self._db is None:
            self._db, self._file = connect(self.path), _identity(self.path)
            self._patience = PATIENCE
        elif self._db.in_transaction:  # an exception from outside (Ctrl-C) struck between two of our lines
            _roll_back(self._db)
        return self._db

    def _be_patient(self, db: sqlite3.Connection, patience: float) -> None:
        patience = min(max(patience, 0), PATIENCE)
        if patience != self._patience:
            db.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
            self._patience = patience

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


def _roll_back(db: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors
        db.execute("ROLLBACK")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


_registry = Lock()
_stores: WeakValueDictionary[Path, Store] = WeakValueDictionary()
_held: list[Store] = []


def _before_fork() -> None:
    _registry.acquire()
    for store in list(_stores.values()):
        store.pause()
        _held.append(store)


def _after_fork() -> None:
    while _held:
        _held.pop().resume()
    _registry.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
