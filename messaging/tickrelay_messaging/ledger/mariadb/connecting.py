# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How connections to MariaDB or MySQL are made."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import pymysql
from pymysql.connections import Connection as Driver
from pymysql.constants import ER
from sqlalchemy import Connection

from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.clocks import clock_offset
from tickrelay_messaging.ledger.mariadb.addresses import settings_of
from tickrelay_messaging.ledger.mariadb.wording import fit
from tickrelay_messaging.ledger.sql.pooling import Connections

_SESSION = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
    "innodb_lock_wait_timeout = 30, lock_wait_timeout = 30"
)
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
_PATIENCE = 5.0
"""Seconds that a killed connection may take to end."""


class Raw(Driver):
    """
    A connection that knows whether the server has undone its transaction: after a deadlock it has, and the next
    statement would commit by itself.
    """

    undone = False
    aside: Callable[[str], bool] | None = None
    """Asked before each statement while the ledger writes; what it takes over isn't carried out here."""

    def execute(self, statement: str, parameters: tuple[Any, ...] | None = None) -> Any:
        """A cursor with the answer."""
        cursor = self.cursor()
        cursor.execute(statement, parameters)
        return cursor

    def be_patient(self) -> None:
        """From here on the keepalive sees to a server that vanishes, as a statement may take long."""
        self._read_timeout: float | None = None

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        if self.aside is not None and self.aside(
            sql if isinstance(sql, str) else sql.decode(errors="replace")
        ):
            sql = "DO 0"
        try:
            return int(super().query(sql, unbuffered))
        except pymysql.MySQLError as error:
            if error.args and error.args[0] == ER.LOCK_DEADLOCK:
                self.undone = True
            raise


class Connector:
    """
    Args:
        url: as `addresses.settings_of` reads it.

    Attributes:
        where: the ledger's name for errors, without its password.
        lock: name of the lock that whoever writes to this database's ledger holds.
        pool: its connections; `connect` makes one outside of it.
        offset: seconds that the server's clock is ahead of this host's, as of the last connection made.
    """

    def __init__(self, url: str) -> None:
        self.where = f"ledger {redact(url)}"
        self._settings = settings_of(url)
        named = blake2b(self._settings["database"].encode(), digest_size=16).hexdigest()
        self.lock = f"tickrelay.{named}"
        self.offset = 0.0
        self.pool = Connections("mysql+pymysql://", self.connect)
        fit(self.pool.engine().dialect)

    def connect(self) -> Raw:
        """A connection outside the pool, which commits every statement."""
        patience = self._settings["connect_timeout"]
        raw = Raw(
            charset="utf8mb4", autocommit=True, defer_connect=True, read_timeout=patience, **self._settings
        )
        raw.connect(self._socket())
        try:
            raw.execute(_SESSION)
            raw.execute(_ISOLATION)
            self._look(raw)
        except BaseException:
            raw.close()
            raise
        raw.be_patient()
        return raw

    def kill(self, number: int) -> None:
        """End a connection of this user's, and its transaction with it."""
        raw = self.connect()
        try:
            try:
                raw.execute(f"KILL {number:d}")
            except pymysql.MySQLError as error:
                if error.args[0] != ER.NO_SUCH_THREAD:
                    raise
            deadline = time.monotonic() + _PATIENCE
            while number in sessions(raw) and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            raw.close()

    def _socket(self) -> socket.socket:
        """A socket that notices within a minute that its host has vanished; the driver's own would take hours."""
        place = (self._settings["host"], self._settings["port"])
        try:
            made = socket.create_connection(place, self._settings["connect_timeout"])
        except OSError as error:
            raise pymysql.OperationalError(2003, f"can't connect: {error}") from error
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not on every system
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return made

    def _look(self, raw: Raw) -> None:
        """The server's clock, and whether a named lock there keeps every other writer away."""
        self.offset = clock_offset(lambda: _clock_of(raw))
        cluster = raw.execute("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'").fetchone()
        if cluster and cluster[1] == "ON":
            raise ConfigurationError(
                f"{self.where}: this server is a node of a Galera cluster, where a lock by name holds on one node "
                "only, so two could write at once; use a server with one primary"
            )


def _clock_of(raw: Raw) -> float:
    seconds, micro = raw.execute("SELECT UNIX_TIMESTAMP(), MICROSECOND(NOW(6))").fetchone()
    return float(seconds) + float(micro) / 1e6


def sessions(raw: Raw) -> dict[int, tuple[str, int]]:
    """What each connection of this user's is at, and for how many seconds."""
    return {int(row[0]): (row[4], int(row[5] or 0)) for row in raw.execute("SHOW PROCESSLIST").fetchall()}


def driver(connection: Connection) -> Raw:
    """The pymysql connection under SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, Raw)
    return found
