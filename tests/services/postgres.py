# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL server, with Debian's programs. It refuses root, so there it runs as the user `postgres`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.services.process import Server, free_ports, need

_PROGRAMS = Path("/usr/lib/postgresql")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "log_min_messages": "warning",
}


class Postgres:
    """
    Args:
        folder: takes its data and log.
        settings: as in postgresql.conf.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self._data = folder / "data"
        found = sorted(_PROGRAMS.glob("*/bin/postgres"))
        self._programs = found[-1].parent if found else Path(need("postgres")).parent
        given = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(folder), **settings}
        flat = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_postgres(), str(self._programs / "postgres"), "-D", str(self._data), *flat]
        self.server = Server(command, self._answers, folder / "postgres.log")
        self._names = count(1)

    def start(self) -> None:
        """Make a cluster and start it."""
        _open_up(self._folder)
        initdb = [*_as_postgres(), str(self._programs / "initdb"), "-D", str(self._data), "-A", "trust"]
        initdb += ["-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(initdb, capture_output=True, text=True, check=False, cwd=self._folder)
        if done.returncode:
            pytest.fail(f"initdb failed:\n{done.stdout}{done.stderr}")
        self.server.start()

    def crash(self) -> None:
        """
        Its immediate shutdown: every session ends at once, nothing is written any more, and the next start recovers.

        A SIGKILL would leave the sessions' processes behind for a moment, as they have process groups of their own.
        """
        self.server.signal(signal.SIGQUIT)
        if self.server.process is not None:
            self.server.process.wait(30)
        self.server.kill()

    def start_again(self) -> None:
        """After `crash`, on what it has written."""
        _open_up(self._folder)  # a run of pytest that has begun beside this one closes the folders above
        self.server.start()

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Where a client connects to."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test{next(self._names)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # our own name
        return self.url(name)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def running_postgres(folder: Path, **settings: str) -> Iterator[Postgres]:
    """A server for as long as the block lasts; in a folder that is made if it isn't there."""
    folder.mkdir(exist_ok=True)
    server = Postgres(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.crash()


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    return [need("setpriv"), "--reuid", "postgres", "--regid", "postgres", "--init-groups"]


def _open_up(folder: Path) -> None:
    """The other user must come to its folder, and own it."""
    if os.geteuid() == 0:
        import pwd

        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
