# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A broker in a folder, for one process and light loads: queues in memory, all saved anew at every change."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Condition, Lock
from uuid import uuid4

from tickrelay_messaging import errors
from tickrelay_messaging.brokers import base
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.brokers.seat import Seat
from tickrelay_messaging.brokers.urls import file_path
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.message import MAX_BODY, Message, check_publishable

Rows = dict[str, tuple[dict[str, str], str]]  # position -> headers and body, oldest first


class Store:
    def __init__(self, folder: Path) -> None:
        self.changed, self._owner, self._file = Condition(), os.getpid(), folder / "queues.json"
        self._lock = (folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._folder = os.open(folder, os.O_RDONLY)
        text = self._file.read_text() if self._file.exists() else "{}"
        self.queues: dict[str, dict[str, Rows]] = json.loads(text)
        # Nobody knows which of them were handed out before.
        self.again = {place for groups in self.queues.values() for rows in groups.values() for place in rows}
        self.held: dict[str, FolderSubscription] = {}
        self.members: set[FolderSubscription] = set()

    def save(self) -> None:
        if self._owner != os.getpid():
            raise errors.CallerError(f"{self._file} is process {self._owner}'s; publish and consume there")
        with errors.translate({OSError: errors.BrokerUnavailable}, f"{self._file} is perhaps not saved"):
            with self._file.with_suffix(".new").open("w") as file:
                file.write(json.dumps(self.queues))
                file.flush()
                os.fsync(file)
            self._file.with_suffix(".new").replace(self._file)
            os.fsync(self._folder)
        self.changed.notify_all()

    def groups(self, queue: str, *needed: str) -> dict[str, Rows]:
        if queue not in self.queues or not {*needed} <= {*self.queues[queue]}:
            raise errors.UnknownQueue(f"queue {queue!r} {needed or ''} isn't in {self._file}; declare it")
        return self.queues[queue]

    def ready(self, queue: str, group: str) -> list[str]:
        return [place for place in self.queues[queue].get(group, {}) if place not in self.held]


opening, store_in = Lock(), cache(Store)


class FolderBroker(base.Broker):
    capabilities = base.Capabilities(
        durable=True, shared=False, peek=False, replay=False, exact_stats=True, max_body=MAX_BODY
    )

    def __init__(self, folder: Path) -> None:
        ours = {OSError: errors.BrokerUnavailable, ValueError: errors.StorageCorrupt}
        with opening, errors.translate(ours, f"{folder} must be a folder that no other process has open"):
            self._store = store_in(folder.resolve())

    @classmethod
    def from_url(cls, url: str) -> FolderBroker:
        return cls(Path(file_path(url)))

    def declare(self, spec: base.QueueSpec) -> None:
        if spec.lanes or not spec.groups:
            raise errors.ConfigurationError(f"queue {spec.name!r}: a folder needs a group, and has no lanes")
        names = [check_name(name) for name in (spec.name, *spec.groups)]
        with self._store.changed:
            for group in names[1:]:
                self._store.queues.setdefault(spec.name, {}).setdefault(group, {})
            self._store.save()

    def queues(self) -> list[base.QueueSpec]:
        with self._store.changed:
            return [
                base.QueueSpec(queue, tuple(groups)) for queue, groups in sorted(self._store.queues.items())
            ]

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:  # noqa: ARG002
        for message in messages:
            check_publishable(message)
        with self._store.changed:
            for rows in self._store.groups(queue).values():
                new = [(encode(message), message.body.decode("latin-1")) for message in messages]
                rows.update({f"{time.time()}-{uuid4()}": row for row in new})
            try:
                self._store.save()
            except errors.BrokerUnavailable as error:
                raise errors.PublishUnconfirmed(str(error), [message.id for message in messages]) from error

    def subscribe(self, queue: str, group: str = base.DEFAULT_GROUP) -> FolderSubscription:
        with self._store.changed:
            self._store.groups(queue, group)
            return FolderSubscription(self, self._store, (queue, group))

    def stats(self, queue: str) -> list[base.GroupStats]:
        with self._store.changed:
            return [self._stats(queue, group, rows) for group, rows in self._store.groups(queue).items()]

    def _stats(self, queue: str, group: str, rows: Rows) -> base.GroupStats:
        ready, here = len(self._store.ready(queue, group)), [it.place for it in self._store.members]
        age = next((max(0.0, time.time() - float(place.partition("-")[0])) for place in rows), None)
        numbers = {"ready": ready, "in_flight": len(rows) - ready, "consumers": here.count((queue, group))}
        return base.GroupStats(queue=queue, group=group, oldest_age=age, **numbers)

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[base.Peeked]:  # noqa: ARG002
        raise errors.ConfigurationError(f"queue {queue!r}: FolderBroker has no peek; look at its stats")

    def purge(self, queue: str, group: str = base.DEFAULT_GROUP) -> int:
        with self._store.changed:
            rows, ready = self._store.groups(queue, group)[group], self._store.ready(queue, group)
            for place in ready:
                del rows[place]
            self._store.save()
            return len(ready)

    def forget(self, queue: str, group: str) -> None:
        with self._store.changed:
            self._store.groups(queue).pop(group, None)
            self._store.save()

    def close(self) -> None:
        for subscription in [it for it in self._store.members if it.broker is self]:
            subscription.close()


class FolderSubscription(Seat, base.Subscription):
    def __init__(self, broker: FolderBroker, store: Store, place: tuple[str, str]) -> None:
        super().__init__(place[0])
        self.broker, self.place, self._store = broker, place, store
        store.members.add(self)

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[base.Delivery]:
        if limit < 1:
            raise errors.ConfigurationError(f"limit must be at least 1, got {limit}")
        self._check_process()
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        with self._store.changed:
            while (
                not (self._woken or self._closed or self._store.ready(*self.place)) and time.monotonic() < end
            ):
                # Not for ever: a signal handler may have notified just before the wait.
                self._store.changed.wait(min(1.0, max(0.0, end - time.monotonic())))
            taken = [] if self._interrupted() else self._store.ready(*self.place)[:limit]
            self._store.held.update(dict.fromkeys(taken, self))
            return [self._delivery(place) for place in taken]

    def _delivery(self, place: str) -> base.Delivery:
        headers, body = self._store.queues[self.place[0]][self.place[1]][place]
        again = place in self._store.again
        return base.Delivery(*self.place, place, dict(headers), body.encode("latin-1"), redelivered=again)

    def acknowledge(self, deliveries: Sequence[base.Delivery]) -> None:
        with self._store.changed:
            done = [it.position for it in deliveries if self._store.held.get(it.position) is self]
            for place in done:
                self._store.queues[self.place[0]].get(self.place[1], {}).pop(place, None)
                self._store.held.pop(place, None)
            if done:
                self._store.save()

    def wake(self) -> None:
        self._woken = True
        with self._store.changed:
            self._store.changed.notify_all()

    def close(self) -> None:
        with self._store.changed:
            self._closed = True
            self._store.members.discard(self)
            for place in [place for place, owner in self._store.held.items() if owner is self]:
                del self._store.held[place]
                self._store.again.add(place)
            self._store.changed.notify_all()
