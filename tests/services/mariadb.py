# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A private MariaDB server, with Debian's programs. It runs as whoever runs the tests, root too."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pymysql
import pytest

from tests.services.process import Server, free_ports, need

PASSWORD = "hunter2"
_SETTINGS = {
    "bind-address": "127.0.0.1",
    "innodb-buffer-pool-size": "32M",
    "innodb-flush-log-at-trx-commit": "1",
    "innodb-log-file-size": "16M",
    "max-connections": "100",
    "performance-schema": "OFF",
    "skip-name-resolve": "ON",
}


class MariaDb:
    """
    Args:
        folder: takes its data and log.
    """

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._data = folder / "data"
        self._user = pwd.getpwuid(os.geteuid()).pw_name
        settings = {**_SETTINGS, "port": str(self.port), "socket": str(folder / "mariadb.sock")}
        flat = [f"--{name}={value}" for name, value in settings.items()]
        command = [
            need("mariadbd"),
            "--no-defaults",
            f"--user={self._user}",
            f"--datadir={self._data}",
            *flat,
        ]
        self.server = Server(command, self._answers, folder / "mariadb.log")
        self._names = count(1)

    def start(self) -> None:
        """Make its data folder and start it, with a user `tickrelay` that has a password."""
        install = [need("mariadb-install-db"), "--no-defaults", f"--user={self._user}"]
        install += [f"--datadir={self._data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")
        self.server.start()
        self.run(f"CREATE USER tickrelay@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")

    def url(self, database: str, password: str = PASSWORD) -> str:
        """Where a client connects to."""
        return f"mariadb://tickrelay:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The name of an empty database, made with another character set than the ledger's."""
        name = f"test{next(self._names)}"
        self.run(f"CREATE DATABASE {name} CHARACTER SET latin1")
        self.run(f"GRANT ALL ON {name}.* TO tickrelay@'127.0.0.1'")
        return name

    def run(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        """A statement as the server's root."""
        with self._connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def _connect(self, database: str | None = None) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            autocommit=True,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except pymysql.OperationalError:
            return False
        return True


@contextmanager
def running_mariadb(folder: Path) -> Iterator[MariaDb]:
    """A server for as long as the block lasts."""
    server = MariaDb(folder)
    try:
        server.start()
        yield server
    finally:
        server.server.kill()
