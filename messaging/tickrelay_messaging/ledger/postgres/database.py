# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
PostgreSQL under a SQL ledger.

Whoever writes to the ledger is alone for these few milliseconds, by an advisory lock that ends with the transaction: so
every verb means the same as on SQLite, and READ COMMITTED is enough, as each statement behind the lock sees all that
was committed before it. Handlers' own transactions take the lock at their end only (docs/decisions/0006).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection

from tickrelay_messaging.errors import LedgerUnavailable
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.postgres.connecting import Connector, driver
from tickrelay_messaging.ledger.postgres.errors import translated
from tickrelay_messaging.ledger.postgres.listening import Listener, notify
from tickrelay_messaging.ledger.postgres.transacting import ALONE, PostgresTransacting, rollback
from tickrelay_messaging.ledger.sql.served import ServedDatabase

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Somebody who is stopped in the middle must not keep the others from writing for ever. A plan that was made while a
# table was new and empty would read the whole of it, and is kept until the server has counted its rows.
_WRITE = (
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '15s'; SET LOCAL lock_timeout = '30s'; "
    f"SET LOCAL enable_seqscan = off; {ALONE}"
)

_DROP = "BEGIN; SET LOCAL lock_timeout = '1s'"


class PostgresDatabase(ServedDatabase):
    """
    Args:
        url: as libpq reads it.
        clock: Unix seconds, for tests; the server's by default.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        super().__init__()
        self._connector = Connector(url)
        self.clock = clock or self._server_time

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._transaction(_READ) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._transaction(_WRITE) as connection:
            yield connection

    @contextmanager
    def transact(self) -> Iterator[PostgresTransacting]:
        with translated(self._connector.where):
            transacting = PostgresTransacting(self._connector.pool.engine().connect(), self._terminate)
            try:
                yield transacting
                transacting.commit()
            finally:
                transacting.end()

    def ring(self, topic: Topic) -> None:
        with translated(self._connector.where), self._connector.pool.engine().connect() as connection:
            notify(driver(connection), topic)

    def drop(self, table: str, *, ordered_by: str) -> bool:  # noqa: ARG002
        """Its lock waits for whoever still reads the table, and meanwhile keeps nobody else from anything."""
        try:
            with self._transaction(_DROP) as connection:
                driver(connection).execute(f"DROP TABLE IF EXISTS {table}")
        except LedgerUnavailable as error:
            if isinstance(error.__cause__, LockNotAvailable):
                return False
            raise
        return True

    def close(self) -> None:
        super().close()
        self._connector.pool.close_idle()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with translated(self._connector.where), self._connector.pool.engine().connect() as connection:
            raw = driver(connection)
            try:
                raw.execute(begin)
                yield connection
                raw.execute("COMMIT")
            except BaseException:
                rollback(connection)
                if raw.broken:
                    self._connector.pool.close_idle()  # the others are most likely broken too
                raise

    def _listen(self) -> Listener:
        return Listener(self._connector)

    def _terminate(self, backend: int) -> None:
        """End a server process of this user's, and its transaction with it."""
        with translated(self._connector.where):
            raw = self._connector.connect()
            try:
                raw.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))
            finally:
                raw.close()

    def _server_time(self) -> float:
        return time.time() + self._connector.offset
