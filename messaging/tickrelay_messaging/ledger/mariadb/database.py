# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
MariaDB or MySQL under a SQL ledger.

As on PostgreSQL whoever writes is alone (docs/decisions/0006), here by a lock that has a name, so READ COMMITTED is
enough. Tables are made and dropped beside the transaction, as the server would commit it (`aside`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.mariadb.aside import Aside
from tickrelay_messaging.ledger.mariadb.connecting import Connector, driver
from tickrelay_messaging.ledger.mariadb.errors import translated
from tickrelay_messaging.ledger.mariadb.transacting import (
    MariaDbTransacting,
    be_alone,
    let_others,
    rollback,
    watch,
)
from tickrelay_messaging.ledger.mariadb.waiting import Watcher, ring
from tickrelay_messaging.ledger.sql.database import Database, Topic

_ONE_STATE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


class MariaDbDatabase(Database):
    """
    Args:
        url: as `addresses.settings_of` reads it.
        clock: Unix seconds, for tests; the server's by default.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        self._connector = Connector(url)
        watch(self._connector.pool.engine())
        self.clock = clock or self._server_time
        self._owners: dict[int, int] = {}
        self._seen = threading.local()
        self._starting = threading.Lock()
        self._watcher: Watcher | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._connected() as connection:
            raw = driver(connection)
            raw.execute(_ONE_STATE)
            raw.execute("START TRANSACTION READ ONLY")
            yield connection
            raw.execute("COMMIT")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._connected() as connection:
            raw = driver(connection)
            raw.execute("BEGIN")
            be_alone(self._connector, raw)
            tables = Aside(self._connector)
            raw.aside = tables.take
            try:
                yield connection
                raw.execute("COMMIT")
                tables.finish()
            except BaseException:
                rollback(connection)
                raise
            finally:
                raw.aside = None
                let_others(self._connector, raw)

    @contextmanager
    def transact(self) -> Iterator[MariaDbTransacting]:
        with translated(self._connector.where):
            transacting = MariaDbTransacting(self._connector.pool.engine().connect(), self._connector)
            try:
                yield transacting
                transacting.commit()
            finally:
                transacting.end()

    def ring(self, topic: Topic) -> None:
        with self._connected() as connection:
            ring(driver(connection), topic)

    def wait(self, timeout: float | None) -> bool:
        watcher = self._watching()
        known: tuple[Watcher, int] | None = getattr(self._seen, "place", None)
        if known is None or known[0] is not watcher:
            self._seen.place = watcher, watcher.count(Topic.OUTCOMES)
            return True
        count = watcher.wait(Topic.OUTCOMES, known[1], timeout)
        self._seen.place = watcher, count
        return count != known[1]

    def hang_bell(self, owner: int) -> None:
        self._owners[owner] = self._watching().count(Topic.WORK)

    def wait_for_work(self, owner: int, timeout: float | None) -> bool:
        seen = self._owners.get(owner)
        if seen is None or self._watcher is None or not self._watcher.is_ours:
            raise ClaimLost("this consumer has retired, or was enrolled by another process")
        count = self._watcher.wait(Topic.WORK, seen, timeout)
        if owner in self._owners:
            self._owners[owner] = count
        return count != seen

    def take_bell_down(self, owner: int) -> None:
        self._owners.pop(owner, None)

    def is_alive(self, owner: int) -> bool | None:  # noqa: ARG002
        """Only its lease can tell: it may be on another host."""
        return None

    def drop(self, table: str, *, ordered_by: str) -> bool:  # noqa: ARG002
        """Its lock waits for whoever still reads the table, and meanwhile keeps nobody else from anything."""
        with self._connected() as connection:
            driver(connection).execute(f"DROP TABLE IF EXISTS {table}")
        return True

    def close(self) -> None:
        self._owners.clear()
        if self._watcher is not None:
            self._watcher.close()
        self._connector.pool.close_idle()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection of the pool; whatever goes wrong on it is undone."""
        with translated(self._connector.where), self._connector.pool.engine().connect() as connection:
            raw = driver(connection)
            try:
                yield connection
            except BaseException:
                rollback(connection)
                if not raw.open:
                    self._connector.pool.close_idle()  # the others are most likely broken too
                raise

    def _watching(self) -> Watcher:
        with self._starting, translated(self._connector.where):
            if self._watcher is None or not self._watcher.is_ours:
                self._watcher = Watcher(self._connector)
            return self._watcher

    def _server_time(self) -> float:
        return time.time() + self._connector.offset
