# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Batches in a SQL ledger: what publishing tasks put on queues, and how far the handlers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from tickrelay_messaging.ledger.base import Batches
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import BatchInfo, Route
from tickrelay_messaging.ledger.reports import Batch, BatchProgress
from tickrelay_messaging.ledger.sql import tallies
from tickrelay_messaging.ledger.sql.buckets import live
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.known import find_done
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.tables import batches
from tickrelay_messaging.ledger.sql.tables import tallies as table
from tickrelay_messaging.message import Message

_CHUNK = 1_000
_COUNT = [column.name for column in batches.columns].index("count")
_ENDS = ("done", "dead", "discarded", "expired", "revoked", "skipped")


class SqlBatches(Batches):
    """See `base.Batches`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def open(self, info: BatchInfo) -> int:
        last = select(func.max(batches.c.ordinal)).where(batches.c.id == info.id)
        fields = ("id", "queue", "dag_id", "run_id", "task_id", "map_index")
        row = {name: getattr(info, name) for name in fields}
        with self._database.write() as connection:
            ordinal = int(connection.execute(last).scalar() or 0) + 1
            opened = self._database.clock()
            connection.execute(
                insert(batches).values(**row, ordinal=ordinal, opened_at=opened, already_done=0)
            )
        return ordinal

    def close(self, batch: str, ordinal: int, *, count: int, already_done: int = 0) -> None:
        values = {"closed_at": self._database.clock(), "count": count, "already_done": already_done}
        with self._database.write() as connection:
            connection.execute(
                update(batches).where(batches.c.id == batch, batches.c.ordinal == ordinal).values(**values)
            )
        self._database.ring(Topic.OUTCOMES)

    def progress(self, batch: str, group: str) -> list[BatchProgress]:
        newest = select(batches).where(batches.c.id == batch).order_by(batches.c.ordinal.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(newest).first()
            if row is None:
                return []
            tag = f"{batch}/{row.ordinal}"
            ended = tallies.sums(connection, [table.c.batch == tag])
        mine = self._names.current(row.queue, group)
        return [
            _progress(batch, route, row[_COUNT], ended.get((tag, number), {}))
            for route, number in mine.items()
        ]

    def find(
        self, *, dag_id: str, run_id: str, task_id: str | None = None, map_index: int | None = None
    ) -> list[Batch]:
        query = select(batches).where(batches.c.dag_id == dag_id, batches.c.run_id == run_id)
        if task_id is not None:
            query = query.where(batches.c.task_id == task_id)
        if map_index is not None:
            query = query.where(batches.c.map_index == map_index)
        with self._database.read() as connection:
            return [
                _batch(row)
                for row in connection.execute(query.order_by(batches.c.opened_at, batches.c.ordinal))
            ]

    def known(self, queue: str, messages: Sequence[Message]) -> int:
        routes = self._names.current(queue)
        if not routes:
            return 0
        chunks = [messages[at : at + _CHUNK] for at in range(0, len(messages), _CHUNK)]
        with self._database.read() as connection:
            return sum(_known_in_all(connection, routes, chunk) for chunk in chunks)


def _known_in_all(connection: Connection, routes: Mapping[Route, int], messages: Sequence[Message]) -> int:
    remaining, there = list(messages), live(connection)
    for route, number in routes.items():
        keys = [key_of(route, message.source, message.id) for message in remaining]
        done = find_done(connection, there, number, keys)
        remaining = [message for key, message in zip(keys, remaining, strict=True) if key in done]
    return len(remaining)


def _progress(batch: str, route: Route, count: int | None, ended: dict[str, int]) -> BatchProgress:
    return BatchProgress(
        batch=batch, route=route, count=count, **{name: ended.get(name, 0) for name in _ENDS}
    )


def _batch(row: Any) -> Batch:
    info = BatchInfo(
        id=row.id,
        queue=row.queue,
        dag_id=row.dag_id,
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=row.map_index,
    )
    return Batch(
        info=info,
        ordinal=row.ordinal,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        count=row[_COUNT],  # `row.count` is the tuple's own method
        already_done=row.already_done,
    )
