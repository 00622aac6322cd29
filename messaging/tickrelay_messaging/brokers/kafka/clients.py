# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The connections of one broker object: an administrator, a reader and some producers, made when first needed.

librdkafka's clients don't survive a fork: their threads stay behind, and destroying one in the child would wait for
them for ever. So a child forgets them without destroying them, and makes its own.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Any, TypeVar
from weakref import WeakSet

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient

from tickrelay_messaging.brokers.kafka.errors import translated
from tickrelay_messaging.brokers.kafka.settings import Settings
from tickrelay_messaging.errors import BrokerUnavailable

PRODUCERS = 8
"""Most producers of one broker object, and so most calls of `publish` that send at one time."""


class _Admin(AdminClient):
    """Subclassed, as the others, for weak references."""


class _Producer(Producer):
    """Knows which topics it has asked about: what is sent to others waits up to a second for librdkafka to ask."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._asked: set[str] = set()

    def prepare(self, topic: str, timeout: float) -> None:
        """Learn where a topic's partitions are."""
        if topic not in self._asked:
            self.list_topics(topic, timeout=timeout)
            self._asked.add(topic)


class _Consumer(Consumer):
    pass


_Client = TypeVar("_Client", _Admin, _Producer, _Consumer)
_living: WeakSet[object] = WeakSet()
_holders: WeakSet[Clients] = WeakSet()


class Clients:
    """
    Thread-safe.

    Attributes:
        settings: what the URL said.
        complaint: what a client last had to say about its connections; librdkafka retries for ever without raising.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reset()
        _holders.add(self)

    def reset(self) -> None:
        """Forget every client, as after a fork."""
        self.complaint = ""
        self._lock = Lock()
        self._turns = BoundedSemaphore(PRODUCERS)
        self._idle: list[_Producer] = []
        self._admin: _Admin | None = None
        self._reader: _Consumer | None = None
        self._reading = Lock()

    def admin(self) -> AdminClient:
        """The one for topics, groups and offsets."""
        with self._lock:
            if self._admin is None:
                self._admin = self._make(_Admin, {})
            return self._admin

    def member(self, group: str, callbacks: dict[str, Any]) -> Consumer:
        """A new member of a group, its caller's to close."""
        return self._make(_Consumer, {**self.settings.member, "group.id": group, **callbacks})

    @contextmanager
    def producer(self, deadline: float) -> Iterator[_Producer]:
        """
        A producer that is the block's alone: so it can be flushed and purged without harm to other threads.

        One whose block raised isn't used again.

        Raises:
            BrokerUnavailable: all were busy until the deadline (by `time.monotonic`); nothing was sent.
        """
        if not self._turns.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise BrokerUnavailable(
                f"all {PRODUCERS} producers for Kafka at {self.settings.servers} are busy"
            )
        turns, idle = self._turns, self._idle
        try:
            try:
                producer = idle.pop()
            except IndexError:
                producer = self._make(_Producer, dict(self.settings.producer))
            yield producer
            idle.append(producer)
        finally:
            turns.release()

    @contextmanager
    def reader(self) -> Iterator[Consumer]:
        """A consumer that joins no group and commits nothing; one block at a time."""
        with self._reading:
            if self._reader is None:
                unread = {
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "group.id": "tickrelay-reader",
                }
                small = {
                    "fetch.message.max.bytes": 1 << 18,
                    "fetch.wait.max.ms": 10,
                    "auto.offset.reset": "earliest",
                }
                self._reader = self._make(_Consumer, {**unread, **small})
            yield self._reader

    def close(self) -> None:
        """Drop every connection; the object stays usable."""
        with self._lock:
            reader, self._reader, self._admin = self._reader, None, None
            self._idle.clear()
        if reader is not None:
            reader.close()

    def hint(self) -> str:
        """The last complaint, the administrator's included."""
        with self._lock:
            if self._admin is not None:
                self._admin.poll(0)
        return self.complaint

    def _make(self, kind: type[_Client], more: dict[str, Any]) -> _Client:
        with translated(f"the client for Kafka at {self.settings.servers}"):
            settings: dict[str, Any] = {**self.settings.client, "error_cb": self._complain, **more}
            client = kind(settings)
        _living.add(client)
        return client

    def _complain(self, error: KafkaError) -> None:
        self.complaint = error.str()


def _forget_in_child() -> None:
    for client in list(_living):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))  # never destroyed
    _living.clear()
    for holder in list(_holders):
        holder.reset()


os.register_at_fork(after_in_child=_forget_in_child)
