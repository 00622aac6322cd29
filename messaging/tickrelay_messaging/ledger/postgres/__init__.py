# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The ledger in PostgreSQL, for consumers on several hosts."""

from __future__ import annotations

from collections.abc import Callable

from tickrelay_messaging.ledger.postgres.database import PostgresDatabase
from tickrelay_messaging.ledger.sql import SqlLedger

__all__ = ["PostgresLedger"]


class PostgresLedger(SqlLedger):
    """
    See `Ledger`. Only its lease tells whether an owner lives.

    Args:
        url: `postgresql://user:password@host:5432/database?sslmode=verify-full&...`, as libpq reads it.
        clock: Unix seconds, for tests; the server's by default.

    Raises:
        ConfigurationError: the URL can't be read, or the server refuses this user.
        LedgerUnavailable: the server can't be reached.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        self.database: PostgresDatabase = PostgresDatabase(url, clock)
        try:
            super().__init__(self.database)
        except BaseException:
            self.database.close()
            raise
