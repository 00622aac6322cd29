# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What became of every message."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.base import Ledger


def open_ledger(url: str) -> Ledger:
    """
    The ledger behind a URL.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user:password@host/database`,
            `mariadb://user:password@host/database` (`mysql:` is the same) or
            `redis://user:password@host:6379/0` (`rediss:` for TLS).

    Raises:
        ConfigurationError: no ledger has this scheme, the URL names no file, or the driver isn't installed.
        LedgerUnavailable: it can't be reached.
        StorageCorrupt: the file is damaged, or not a ledger.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        return _open_sqlite(url)
    if scheme in ("postgresql", "postgres"):
        return _open_postgres(url)
    if scheme in ("mariadb", "mysql"):
        return _open_mariadb(url)
    if scheme in ("redis", "rediss"):
        return _open_redis(url)
    raise ConfigurationError(
        f"nobody offers a ledger for {redact(url)!r}; use sqlite:///path/to/ledger.db, "
        "postgresql://user:password@host/database, mariadb://user:password@host/database or redis://user:password@host:6379/0"
    )


def _open_sqlite(url: str) -> Ledger:
    path = unquote(urlsplit(url).path)[1:]
    if not path:
        raise ConfigurationError("the ledger URL names no file; use sqlite:///path/to/ledger.db")
    from tickrelay_messaging.ledger.sqlite import SqliteLedger

    return SqliteLedger(Path(path))


def _open_postgres(url: str) -> Ledger:
    try:
        from tickrelay_messaging.ledger.postgres import PostgresLedger
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the ledger for postgresql: needs {error.name}; "
            "install it with: pip install 'tickrelay-messaging[postgres]'"
        ) from error
    return PostgresLedger(url)


def _open_mariadb(url: str) -> Ledger:
    try:
        from tickrelay_messaging.ledger.mariadb import MariaDbLedger
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the ledger for mariadb: needs {error.name}; "
            "install it with: pip install 'tickrelay-messaging[mariadb]'"
        ) from error
    return MariaDbLedger(url)


def _open_redis(url: str) -> Ledger:
    try:
        from tickrelay_messaging.ledger.redis import RedisLedger
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the ledger for redis: needs {error.name}; install it with: pip install 'tickrelay-messaging[redis]'"
        ) from error
    return RedisLedger(url)


__all__ = ["Ledger", "open_ledger"]
