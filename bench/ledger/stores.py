# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The ledgers that are measured, on servers of their own, and how each tells what its done messages take."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import redis
from tests.services.postgres import Postgres
from tests.services.redis import RedisServer

from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.postgres import PostgresLedger
from tickrelay_messaging.ledger.redis.ledger import RedisLedger
from tickrelay_messaging.ledger.sqlite import SqliteLedger

Clock = Callable[[], float]


class Store(ABC):
    """
    A ledger's place, empty at first.

    Attributes:
        about: server and settings in words.
        goal: most bytes that a done message's mark may take.
    """

    about: str
    goal: int

    @abstractmethod
    def open(self, clock: Clock) -> Ledger:
        """A connection to it."""

    @abstractmethod
    def bytes_of(self, kind: str) -> int:
        """What all of a kind takes, indexes included: `done`, the marks, or `history`."""


class Sqlite(Store):
    """A file."""

    about, goal = "SQLite, synchronous=FULL", 60

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, clock: Clock) -> Ledger:
        return SqliteLedger(self.path, clock)

    def bytes_of(self, kind: str) -> int:
        query = (
            "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name IN "
            "(SELECT name FROM sqlite_master WHERE tbl_name GLOB ?)"
        )
        with closing(sqlite3.connect(self.path)) as database:
            return int(database.execute(query, (f"{kind}_[0-9]*",)).fetchone()[0])


class PostgreSql(Store):
    """A database of a server."""

    about, goal = "PostgreSQL, fsync=on", 120

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, clock: Clock) -> Ledger:
        return PostgresLedger(self.url, clock)

    def bytes_of(self, kind: str) -> int:
        query = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' AND relname ~ %s"
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query, (f"^{kind}_[0-9]+$",)).fetchone()
        assert row is not None
        return int(row[0])


class Redis(Store):
    """A server's first database."""

    about, goal = "Redis, appendfsync=always", 40

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, clock: Clock) -> Ledger:
        return RedisLedger(self.url, clock)

    def bytes_of(self, kind: str) -> int:
        """Memory rather than disk: keys and values, with what their places in the server's table take."""
        with closing(redis.Redis.from_url(self.url)) as client:
            names = {"done": "*d:*", "history": "*h:*"}[kind]
            found = list(client.scan_iter(names, count=1_000))
            pipe = client.pipeline(transaction=False)
            for name in found:
                pipe.memory_usage(name, samples=0)
            return sum(int(size) for size in pipe.execute())


@contextmanager
def sqlite(folder: Path) -> Iterator[Sqlite]:
    """A new file."""
    yield Sqlite(folder / "ledger.db")


@contextmanager
def postgres(folder: Path) -> Iterator[PostgreSql]:
    """A server with some memory, as the tests' own has next to none."""
    server = Postgres(folder, shared_buffers="256MB", max_wal_size="4GB")
    server.start()
    try:
        yield PostgreSql(server.new_database())
    finally:
        server.server.kill()


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    """A server that writes to the disk before it answers."""
    server = RedisServer(folder)
    server.server.start()
    try:
        yield Redis(f"redis://127.0.0.1:{server.port}/0")
    finally:
        server.server.kill()


STORES = {"SQLite": sqlite, "PostgreSQL": postgres, "Redis": redis_server}
