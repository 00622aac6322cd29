# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
MariaDB or MySQL under a SQL ledger.

As on PostgreSQL whoever writes is alone (docs/decisions/0006), here by a lock that has a name, so READ COMMITTED is
enough. Tables are made and dropped beside the transaction, as the server would commit it (`aside`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tickrelay_messaging.ledger.hearing import Topic
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
from tickrelay_messaging.ledger.sql.served import ServedDatabase

_ONE_STATE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


class MariaDbDatabase(ServedDatabase):
    """
    Args:
        url: as `addresses.settings_of` reads it.
        clock: Unix seconds, for tests; the server's by default.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        super().__init__()
        self._connector = Connector(url)
        watch(self._connector.pool.engine())
        self.clock = clock or self._server_time

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

    def drop(self, table: str, *, ordered_by: str) -> bool:  # noqa: ARG002
        """Its lock waits for whoever still reads the table, and meanwhile keeps nobody else from anything."""
        with self._connected() as connection:
            driver(connection).execute(f"DROP TABLE IF EXISTS {table}")
        return True

    def close(self) -> None:
        super().close()
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

    def _listen(self) -> Watcher:
        with translated(self._connector.where):
            return Watcher(self._connector)

    def _server_time(self) -> float:
        return time.time() + self._connector.offset
