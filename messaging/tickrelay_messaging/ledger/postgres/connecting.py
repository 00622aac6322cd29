# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How connections to PostgreSQL are made."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection

from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.clocks import clock_offset
from tickrelay_messaging.ledger.sql.pooling import Connections

Raw = psycopg.Connection[tuple[Any, ...]]

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "tickrelay",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""libpq's names; what the URL says wins."""


class Connector:
    """
    Args:
        url: as libpq reads it.

    Attributes:
        where: the ledger's name for errors, without its password.
        pool: its connections; `connect` makes one outside of it.
        offset: seconds that the server's clock is ahead of this host's, as of the last connection made.
    """

    def __init__(self, url: str) -> None:
        self.where = f"ledger {redact(url)}"
        try:
            self._settings = {**_DEFAULTS, **conninfo_to_dict(url)}
        except psycopg.Error as error:
            raise ConfigurationError(f"{self.where}: {' '.join(str(error).split())}") from error
        self.offset = 0.0
        self.pool = Connections("postgresql+psycopg://", self.connect)

    def connect(self) -> Raw:
        """A connection outside the pool, which commits every statement."""
        raw = psycopg.connect(autocommit=True, **self._settings)
        self.offset = clock_offset(lambda: _clock_of(raw))
        return raw


def _clock_of(raw: Raw) -> float:
    row = raw.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    return float(row[0])


def driver(connection: Connection) -> Raw:
    """The psycopg connection under SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found
