# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The ledger in MariaDB or MySQL, for consumers on several hosts."""

from __future__ import annotations

from collections.abc import Callable

from tickrelay_messaging.ledger.mariadb.database import MariaDbDatabase
from tickrelay_messaging.ledger.sql import SqlLedger

__all__ = ["MariaDbLedger"]


class MariaDbLedger(SqlLedger):
    """
    See `Ledger`. Only its lease tells whether an owner lives.

    Args:
        url: `mariadb://user:password@host:3306/database?ssl_mode=verify_identity&...`, or `mysql://`.
        clock: Unix seconds, for tests; the server's by default.

    Raises:
        ConfigurationError: the URL can't be read, or the server refuses this user.
        LedgerUnavailable: the server can't be reached.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        self.database: MariaDbDatabase = MariaDbDatabase(url, clock)
        try:
            super().__init__(self.database)
        except BaseException:
            self.database.close()
            raise
