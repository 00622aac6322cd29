# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A transaction of the PostgreSQL ledger that is lent to handlers.

While they work others write to the ledger; only its end, when the done-marks are written, is alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection

from tickrelay_messaging.errors import CallerError
from tickrelay_messaging.ledger.postgres.connecting import driver
from tickrelay_messaging.ledger.sql.lending import LentTransaction

ALONE = "SELECT pg_advisory_xact_lock(1414220871, hashtext(current_schema()))"
"""Held by whoever writes to the ledger in this schema, until its transaction ends. The number spells "TKLG"."""
_ALIVE = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class PostgresTransacting(LentTransaction):
    """
    Args:
        terminate: ends a server process by its number, through another connection.
    """

    _BEGIN = "BEGIN"
    _GONE = "the database has ended the transaction; nothing of it was kept"

    def __init__(self, connection: Connection, terminate: Callable[[int], None]) -> None:
        self._terminate = terminate
        super().__init__(connection, driver(connection))

    def be_alone(self) -> bool:
        self._run(ALONE)
        return False

    def _is_there(self) -> bool:
        return self._raw.info.transaction_status in _ALIVE

    def _undo(self) -> None:
        rollback(self.connection)

    def _undo_from_outside(self) -> None:
        self._terminate(self._raw.info.backend_pid)

    def _check_part(self) -> None:
        """PostgreSQL does nothing more after a statement that failed; a handler that went on hasn't had its effect."""
        if self._raw.info.transaction_status is TransactionStatus.INERROR:
            raise CallerError(
                "the handler went on after a statement that failed, so its later ones did nothing: "
                "let the error out, or put the statement into `connection.begin_nested()`"
            )


def rollback(connection: Connection) -> None:
    """Undo; a connection that can't even do that is thrown away, where SQLAlchemy hasn't seen to it."""
    if connection.invalidated:
        return
    raw = driver(connection)
    with suppress(psycopg.Error):
        if raw.info.transaction_status is not TransactionStatus.IDLE:
            raw.execute("ROLLBACK")
    if raw.broken or raw.closed:
        connection.invalidate()
