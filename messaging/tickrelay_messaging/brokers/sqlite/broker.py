# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The embedded broker, the default: queues in one SQLite file, for any number of processes of one host.

What it confirms is on the disk (`synchronous=FULL`). Waiting consumers are woken by doorbells, named pipes
in the folder `<file>.bells/<queue>/`. Rows nobody needs any more are deleted at once and their room is used
again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Self, TypeVar
from weakref import WeakSet

from tickrelay_messaging import doorbell
from tickrelay_messaging.brokers.base import (
    DEFAULT_GROUP,
    Broker,
    Capabilities,
    GroupStats,
    Peeked,
    QueueSpec,
)
from tickrelay_messaging.brokers.chunks import chunked
from tickrelay_messaging.brokers.lanes import check_lanes
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.brokers.sqlite import headers, rows, views
from tickrelay_messaging.brokers.sqlite.file import check_room
from tickrelay_messaging.brokers.sqlite.schema import PATIENCE
from tickrelay_messaging.brokers.sqlite.store import CommitUnknown, Store
from tickrelay_messaging.brokers.sqlite.subscription import SqliteSubscription
from tickrelay_messaging.brokers.urls import file_path
from tickrelay_messaging.errors import (
    CallerError,
    ConfigurationError,
    PublishUnconfirmed,
    ServiceError,
    UnknownQueue,
)
from tickrelay_messaging.message import MAX_BODY, Message, check_publishable

CHUNK = 1000
"""Most messages in one transaction, so that other processes get their turn."""
CHUNK_BYTES = 16 << 20
PURGE_CHUNK = 20_000

_Found = TypeVar("_Found")


class SqliteBroker(Broker):
    """
    Queues in one file.

    Args:
        path: the file; it and its folder are made, private to their owner, if missing.

    Raises:
        BrokerUnavailable: the file can't be made, opened or locked, or lies on a network file system.
        StorageCorrupt: it's damaged or another program's.
    """

    capabilities = Capabilities(
        durable=True, shared=True, peek=True, replay=False, exact_stats=True, max_body=MAX_BODY, lanes=True
    )

    def __init__(self, path: str | Path) -> None:
        resolved = Path(path).expanduser().resolve()
        self._open_store: Store | None = Store.at(resolved)
        self._bells = resolved.with_name(resolved.name + ".bells")
        self._subscriptions: WeakSet[SqliteSubscription] = WeakSet()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The broker at `sqlite:///relative.db` or `sqlite:////absolute.db`."""
        return cls(file_path(url))

    def declare(self, spec: QueueSpec) -> None:
        """See `Broker.declare`."""
        check_name(spec.name)
        if not spec.groups:
            raise ConfigurationError(
                f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
            )
        for group in spec.groups:
            check_name(group, "group")
        with self._store.read() as db:
            known = self._check(db, spec)
        if known is None or not set(spec.groups) <= set(known.groups):
            with self._store.write() as db:
                self._check(db, spec)
                queue, head = rows.declare_queue(db, spec.name, spec.lanes)
                change = "INSERT INTO groups (queue, name, cursor) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
                db.executemany(change, [(queue, group, head) for group in spec.groups])

    def _check(self, db: Connection, spec: QueueSpec) -> QueueSpec | None:
        known = next((found for found in views.queues(db) if found.name == spec.name), None)
        check_lanes(spec.name, spec.lanes, known.lanes if known else None)
        return known

    def queues(self) -> list[QueueSpec]:
        """See `Broker.queues`."""
        with self._store.read() as db:
            return views.queues(db)

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """See `Broker.publish`: a transaction a thousand messages; waits at most 10 s for other processes."""
        deadline = time.monotonic() + timeout
        for message in messages:
            check_publishable(message)
        if not messages:
            with self._store.read() as db:
                self._found(rows.queue_head(db, queue), queue)
        confirmed = 0
        for chunk in chunked(messages, CHUNK, CHUNK_BYTES):
            try:
                self._put(queue, chunk, deadline - time.monotonic())
            except ServiceError as error:
                if not confirmed and not isinstance(error, CommitUnknown):
                    raise
                ids = [message.id for message in messages[confirmed:]]
                text = f"queue {queue!r}: {confirmed:,} messages confirmed, {len(ids):,} not: {error}"
                raise PublishUnconfirmed(text, ids) from error
            confirmed += len(chunk)

    def _put(self, queue: str, chunk: Sequence[Message], left: float) -> None:
        encoded = [(headers.write(message), message) for message in chunk]
        size = sum(len(text) + len(message.body) for text, message in encoded)
        with self._store.write(min(left, PATIENCE)) as db:
            check_room(db, self._store.path, size)
            if not rows.put(db, queue, time.time(), encoded):
                raise self._unknown(queue)
        doorbell.ring(self._bells / queue)

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> SqliteSubscription:
        """See `Broker.subscribe`."""
        subscription = SqliteSubscription(self._store, self._bells / queue, (queue, group))
        self._subscriptions.add(subscription)
        return subscription

    def stats(self, queue: str) -> list[GroupStats]:
        """See `Broker.stats`. What a dead consumer holds counts as ready."""
        with self._store.snapshot() as db:
            self._found(rows.queue_head(db, queue), queue)
            return views.stats(db, queue, lambda bell: doorbell.is_alive(self._bells / queue, bell))

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        """See `Broker.peek`."""
        if after is not None and not (after.isascii() and after.isdigit()):
            raise ConfigurationError(f"after={after!r} is no position of this broker")
        with self._store.snapshot() as db:
            number, _ = self._found(rows.queue_head(db, queue), queue)
            return views.peek(db, number, int(after or 0), limit)

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """See `Broker.purge`; in steps, so that other processes get their turn."""
        with self._store.read() as db:
            number, _ = self._found(views.find_group(db, queue, group), queue, group)
        return self._drop_ready(number)

    def _drop_ready(self, group: int) -> int:
        with self._store.read() as db:
            left = views.ready(db, group)
        dropped = 0
        while left > 0:
            with self._store.write() as db:
                step = rows.drop_ready(db, group, min(left, PURGE_CHUNK))
            if not step:
                break
            dropped, left = dropped + step, left - step
        return dropped

    def forget(self, queue: str, group: str) -> None:
        """See `Broker.forget`; a subscription left behind says so at its next `receive`."""
        with self._store.read() as db:
            self._found(rows.queue_head(db, queue), queue)
            found = views.find_group(db, queue, group)
        if found is None:
            return
        self._drop_ready(found[0])  # most of it in steps, so that other processes get their turn
        with self._store.write() as db:
            if found == views.find_group(db, queue, group):
                rows.forget_group(db, found[0])
        doorbell.ring(self._bells / queue)

    def close(self) -> None:
        """See `Broker.close`; its subscriptions are closed too."""
        store, self._open_store = self._open_store, None
        if store is not None:
            for subscription in list(self._subscriptions):
                subscription.close()
            store.leave()

    @property
    def _store(self) -> Store:
        if self._open_store is None:
            raise CallerError("this broker is closed; open another")
        return self._open_store

    def _found(self, found: _Found | None, queue: str, group: str | None = None) -> _Found:
        if found is None:
            raise self._unknown(queue, group)
        return found

    def _unknown(self, queue: str, group: str | None = None) -> UnknownQueue:
        what = f"queue {queue!r}" if group is None else f"queue {queue!r} with a group {group!r}"
        return UnknownQueue(f"{what} was never declared in {self._store.path}; declare it first")
