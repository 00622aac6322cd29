# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The ledgers of a campaign, and the effects beside them, read with bare drivers: the judge must not ask the judged."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.campaign.handling import EFFECTS_KEY
from tests.chaos.campaign.judging import Effect
from tests.services.postgres import Postgres, running_postgres
from tests.services.redis import RedisServer, running_server

from tickrelay_messaging.ledger import open_ledger

COLUMNS = "id, fence, attempt, at, pid"
TABLE = (
    "CREATE TABLE effects (n {number}, id VARCHAR(100) NOT NULL, fence BIGINT NOT NULL, "
    "attempt INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL, pid BIGINT NOT NULL)"
)
SELECT = f"SELECT {COLUMNS} FROM effects ORDER BY n"


class Store(ABC):
    """
    Attributes:
        url: of the ledger.
        server: the server behind it, to be hurt; None for a file.
        folder: the server's.
    """

    url: str
    server: Any = None
    folder: Path

    def prepare(self) -> None:
        """The ledger's own tables first, so that ours stand beside them."""
        open_ledger(self.url).close()
        self._prepare()

    def crash(self) -> int:
        """The server behind it dies and returns at once; returns how many did."""
        if self.server is None:
            return 0
        if isinstance(self.server, Postgres):
            self.server.crash()
            self.server.start_again()
        else:
            self.server.server.restart()
        return 1

    @abstractmethod
    def _prepare(self) -> None:
        """Our own table."""

    @abstractmethod
    def effects(self) -> list[Effect]:
        """All that are kept in the ledger's own database."""


class SqliteStore(Store):
    """One file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.url = f"sqlite:///{file}"

    def _prepare(self) -> None:
        with closing(sqlite3.connect(self._file, timeout=20)) as db, db:
            db.execute(TABLE.format(number="INTEGER PRIMARY KEY AUTOINCREMENT"))

    def effects(self) -> list[Effect]:
        with closing(sqlite3.connect(self._file, timeout=20)) as db:
            return [Effect(*row) for row in db.execute(SELECT)]


class PostgresStore(Store):
    """A database of its own."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.url = server.new_database()

    def _run(self, statement: str) -> list[Any]:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]  # our own text
            return cursor.fetchall() if cursor.description else []

    def _prepare(self) -> None:
        self._run(TABLE.format(number="BIGSERIAL PRIMARY KEY"))

    def effects(self) -> list[Effect]:
        return [Effect(*row) for row in self._run(SELECT)]


class MariaStore(Store):
    """A database of its own."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.url = server.url(server.new_database())

    def _run(self, statement: str) -> list[Any]:
        from urllib.parse import unquote, urlsplit

        import pymysql

        url = urlsplit(self.url)
        connection = pymysql.connect(
            host=url.hostname or "",
            port=url.port or 3306,
            user=unquote(url.username or ""),
            password=unquote(url.password or ""),
            database=url.path[1:],
            autocommit=True,
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def _prepare(self) -> None:
        self._run(TABLE.format(number="BIGINT AUTO_INCREMENT PRIMARY KEY") + " ENGINE=InnoDB")

    def effects(self) -> list[Effect]:
        return [Effect(*row) for row in self._run(SELECT)]


class RedisStore(Store):
    """A server of its own that keeps everything it has confirmed."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.url = f"redis://127.0.0.1:{server.port}/0"

    def _prepare(self) -> None:
        """A list needs no making."""

    def effects(self) -> list[Effect]:
        with self.server.client() as client:
            return [Effect(*json.loads(row)) for row in client.lrange(EFFECTS_KEY, 0, -1)]


@contextmanager
def store(ledger: str, folder: Path) -> Iterator[Store]:
    """A ledger with room for effects, for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    if ledger == "postgresql":
        with running_postgres(folder) as postgres:
            made = PostgresStore(postgres)
            made.folder = folder
            yield _prepared(made)
    elif ledger == "mariadb":
        from tests.services.mariadb import running_mariadb

        with running_mariadb(folder) as mariadb:
            yield _prepared(MariaStore(mariadb))
    elif ledger == "redis-failover":
        from tests.chaos.campaign.failover import with_replica

        with with_replica(folder) as failing_over:
            yield _prepared(failing_over)
    elif ledger == "redis":
        with running_server(folder, {"maxmemory-policy": "noeviction"}) as redis:
            yield _prepared(RedisStore(redis))
    else:
        yield _prepared(SqliteStore(folder / "ledger.db"))


def _prepared(made: Store) -> Store:
    made.prepare()
    return made
