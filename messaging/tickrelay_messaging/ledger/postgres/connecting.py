# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Connections to PostgreSQL: how they are made, pooled, and left alone after a fork."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.sql.guard import watch

Raw = psycopg.Connection[tuple[Any, ...]]

_left_to_parent: list[object] = []
"""A forked child's inheritance, kept from the garbage collector: closing it would end the parent's sessions."""

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
        offset: seconds that the server's clock is ahead of this host's, as of the last connection made.
    """

    def __init__(self, url: str) -> None:
        self.where = f"ledger {redact(url)}"
        try:
            self._settings = {**_DEFAULTS, **conninfo_to_dict(url)}
        except psycopg.Error as error:
            raise ConfigurationError(f"{self.where}: {' '.join(str(error).split())}") from error
        self.offset = 0.0
        self._engine = self._make_engine()
        self._pid = os.getpid()

    def engine(self) -> Engine:
        """The pool; a new one in a forked child."""
        if self._pid != os.getpid():
            _left_to_parent.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    def connect(self) -> Raw:
        """A connection outside the pool, which commits every statement."""
        raw = psycopg.connect(autocommit=True, **self._settings)
        before = time.time()
        row = raw.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert row is not None
        self.offset = row[0] - (before + time.time()) / 2
        return raw

    def forget_idle(self) -> None:
        """A connection broke, and the others in the pool most likely with it."""
        self.engine().dispose()

    def close(self) -> None:
        """Close what isn't in use."""
        self.engine().dispose()

    def _make_engine(self) -> Engine:
        make: Callable[[], Any] = self.connect
        engine = create_engine(
            "postgresql+psycopg://",
            creator=make,
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=64,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
        )
        watch(engine)
        return engine


def driver(connection: Connection) -> Raw:
    """The psycopg connection under SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found
