# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Millions of done-marks, entered past the ledger's verbs, which would take an hour for them; three buckets as in a day.

Histories aren't filled: they are only ever appended to.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from struct import pack, unpack_from

import psycopg
import redis

from bench.ledger.stores import PostgreSql, Redis, Sqlite, Store
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.redis.settings import LedgerSettings
from tickrelay_messaging.ledger.sql import SqlLedger
from tickrelay_messaging.ledger.sql.buckets import MOST, open_bucket

_CHUNK = 200_000
_FILL = 80
"""Marks in one of Redis's small hashes."""


def fill(store: Store, ledger: Ledger, group: str, rows: int) -> None:
    """So many random marks of a group, a third in each bucket."""
    if isinstance(store, Redis):
        _fill_redis(store, group, rows)
        return
    assert isinstance(ledger, SqlLedger)
    for number in _buckets(ledger, group):
        if isinstance(store, Sqlite):
            _fill_sqlite(store, number, rows // MOST)
        elif isinstance(store, PostgreSql):
            _fill_postgres(store, number, rows // MOST)


def _buckets(ledger: SqlLedger, group: str) -> Sequence[int]:
    now = ledger.now()
    with ledger.database.write() as connection:
        found = connection.exec_driver_sql("SELECT max(number) FROM buckets WHERE group_name IS NOT NULL")
        opened = [open_bucket(connection, group, now + 43_200).number for _ in range(1, MOST)]
        return [found.scalar_one(), *opened]


def _chunks(rows: int) -> Iterator[tuple[int, list[bytes]]]:
    """Sorted within, so that it's quick, and many of them, so that the tree is as full as one that grew by itself."""
    for at in range(0, rows, _CHUNK):
        yield at, sorted(os.urandom(16) for _ in range(min(_CHUNK, rows - at)))


def _fill_sqlite(store: Sqlite, number: int, rows: int) -> None:
    insert = f"INSERT INTO done_{number} (key, number, state) VALUES (?, ?, 1)"
    with closing(sqlite3.connect(store.path)) as database:
        for at, keys in _chunks(rows):
            with database:
                database.executemany(insert, ((key, at + place) for place, key in enumerate(keys)))
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill_postgres(store: PostgreSql, number: int, rows: int) -> None:
    with psycopg.connect(store.url) as connection:
        for at, keys in _chunks(rows):
            copy = f"COPY done_{number} (key, number, state) FROM STDIN"
            with connection.cursor().copy(copy) as target:  # type: ignore[arg-type]  # our own name
                for place, key in enumerate(keys):
                    target.write_row((key, at + place, 1))
        connection.commit()
        connection.autocommit = True
        connection.execute(f"ANALYZE done_{number}")  # type: ignore[arg-type]
        connection.execute("CHECKPOINT")


def _fill_redis(store: Redis, group: str, rows: int) -> None:
    """As its script would have: small hashes whose number has grown by one whenever they were full."""
    base, each = LedgerSettings.of(store.url).base, rows // MOST
    slots = max(1, each // _FILL)
    with closing(redis.Redis.from_url(store.url)) as client:
        of_group = str(client.hget(base + b"names:group", group), "ascii")
        for _ in range(MOST):
            bucket = str(client.hincrby(base + b"meta", "bucket", 1))
            _fill_hashes(client, base + f"d:{of_group}:{bucket}:".encode(), each, slots)
            stop = time.time() + 43_200
            client.hset(base + f"buckets:{of_group}".encode(), bucket, pack("<dIQ", stop, slots, each))


def _fill_hashes(client: redis.Redis, base: bytes, rows: int, slots: int) -> None:
    double = 2
    while double <= slots:
        double *= 2
    for at, keys in _chunks(rows):
        pipe = client.pipeline(transaction=False)
        for place, key in enumerate(keys):
            (whole,) = unpack_from("<I", key)
            slot = whole % double if whole % double < slots else whole % (double // 2)
            pipe.hset(base + pack("<I", slot)[:3], key, b"\1" + pack("<I", at + place))
            if place % 5_000 == 0:
                pipe.execute()
        pipe.execute()
