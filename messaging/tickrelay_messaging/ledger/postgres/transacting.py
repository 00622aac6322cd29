# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A transaction of the PostgreSQL ledger that is lent to handlers.

While they work others write to the ledger; only its end, when the done-marks are written, is alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection

from tickrelay_messaging.errors import CallerError, ClaimLost, LedgerUnavailable
from tickrelay_messaging.ledger.postgres.connecting import driver
from tickrelay_messaging.ledger.sql.database import Transacting
from tickrelay_messaging.ledger.sql.guard import UNDONE, forgive, guarded, lend

ALONE = "SELECT pg_advisory_xact_lock(1414220871, hashtext(current_schema()))"
"""Held by whoever writes to the ledger in this schema, until its transaction ends. The number spells "TKLG"."""
_ALIVE = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class PostgresTransacting(Transacting):
    """
    Args:
        connection: idle, taken over.
        terminate: ends a server process by its number, through another connection.
    """

    def __init__(self, connection: Connection, terminate: Callable[[int], None]) -> None:
        self.connection = connection
        self._raw = driver(connection)
        self._terminate = terminate
        self._state = Lock()
        self.is_open = False
        lend(connection)
        self._raw.execute("BEGIN")
        self.is_open = True

    @contextmanager
    def part(self) -> Iterator[None]:
        self._run("SAVEPOINT part")
        try:
            with guarded(self):
                yield
            self._check_statements()
        except BaseException:
            self._undo_part()
            raise
        self._run("RELEASE part")
        forgive(self.connection)

    def check(self) -> None:
        if not self.is_open:
            raise ClaimLost(UNDONE)
        if self._raw.info.transaction_status not in _ALIVE:
            raise LedgerUnavailable("the database has ended the transaction; nothing of it was kept")

    def be_alone(self) -> bool:
        self._run(ALONE)
        return False

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
                self._terminate(self._raw.info.backend_pid)

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
        rollback(self.connection)
        Connection.close(self.connection)

    def _undo_part(self) -> None:
        if self.is_open and self._raw.info.transaction_status in _ALIVE:
            self._run("ROLLBACK TO part")
            self._run("RELEASE part")
            forgive(self.connection)

    def _check_statements(self) -> None:
        """PostgreSQL does nothing more after a statement that failed; a handler that went on hasn't had its effect."""
        if self._raw.info.transaction_status is TransactionStatus.INERROR:
            raise CallerError(
                "the handler went on after a statement that failed, so its later ones did nothing: "
                "let the error out, or put the statement into `connection.begin_nested()`"
            )

    def _run(self, statement: str) -> None:
        with self._state:
            self.check()
            self._raw.execute(statement)


def rollback(connection: Connection) -> None:
    """Undo; a connection that can't even do that is thrown away."""
    raw = driver(connection)
    with suppress(psycopg.Error):
        if raw.info.transaction_status is not TransactionStatus.IDLE:
            raw.execute("ROLLBACK")
    if raw.broken or raw.closed:
        connection.invalidate()
