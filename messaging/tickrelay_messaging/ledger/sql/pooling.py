# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A process's connections to a ledger's database, and how they are left alone after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import Pool, QueuePool

from tickrelay_messaging.ledger.sql.guard import watch

_left_to_parent: list[Pool] = []
"""A forked child's inheritance, kept from the garbage collector: closing it could touch what the parent still uses."""


class Connections:
    """
    Args:
        dialect: SQLAlchemy's URL of the database, without a place.
        connect: makes a driver's connection, which commits every statement.
    """

    def __init__(self, dialect: str, connect: Callable[[], Any]) -> None:
        self._engine = create_engine(
            dialect,
            creator=connect,
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=64,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
        )
        watch(self._engine)
        self._pid = os.getpid()

    def engine(self) -> Engine:
        """The pool; in a forked child it's empty, and the parent's connections are neither used nor closed."""
        if self._pid != os.getpid():
            _left_to_parent.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    def close_idle(self) -> None:
        """Close what isn't in use."""
        self.engine().dispose()
