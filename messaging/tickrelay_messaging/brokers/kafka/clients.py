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

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]  # exported all the same

from tickrelay_messaging.brokers.kafka.errors import Complaints, ours
from tickrelay_messaging.brokers.kafka.settings import Settings
from tickrelay_messaging.errors import BrokerUnavailable, ConfigurationError

PRODUCERS = 8
"""Most producers of one broker object, and so most calls of `publish` that send at one time."""
SLICE = 0.25
"""Longest time in seconds until a refusal is heard while an answer is waited for."""


class Administrator(AdminClient):
    """
    Attributes:
        complaints: heard when it is polled.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.complaints = Complaints()
        heard: dict[str, Any] = {**settings, "error_cb": self.complaints.note}
        super().__init__(heard)


class Sender(Producer):
    """
    Attributes:
        complaints: heard when it is polled or flushed.
        asked: topics it has asked about: what is sent to others waits up to a second for librdkafka to ask.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.complaints = Complaints()
        self.asked: set[str] = set()
        super().__init__({**settings, "error_cb": self.complaints.note})

    def flush(self, timeout: float = -1) -> int:
        """As `Producer.flush`, but a fatal error is a complaint, and what it did to the messages is reported."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return super().flush(timeout)
            except (KafkaException, SystemError) as error:  # once: a client has one fatal error
                self.complaints.note_fatal(error)
            timeout = max(0.0, deadline - time.monotonic())

    def poll(self, timeout: float = -1) -> int:
        """As `Producer.poll`, but a fatal error is a complaint."""
        try:
            return super().poll(timeout)
        except (KafkaException, SystemError) as error:
            self.complaints.note_fatal(error)
            return 0


class Reader(Consumer):
    """
    Attributes:
        complaints: heard when it is polled, unless its settings have a callback of their own.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.complaints = Complaints()
        super().__init__({"error_cb": self.complaints.note, **settings})


_Client = TypeVar("_Client", Administrator, Sender, Reader)
_living: WeakSet[object] = WeakSet()
_holders: WeakSet[Clients] = WeakSet()


class Clients:
    """
    Thread-safe.

    Attributes:
        settings: what the URL said.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reset()
        _holders.add(self)

    def reset(self) -> None:
        """Forget every client, as after a fork."""
        self._lock = Lock()
        self._turns = BoundedSemaphore(PRODUCERS)
        self._idle: list[Sender] = []
        self._admin: Administrator | None = None
        self._reader: Reader | None = None
        self._reading = Lock()

    def admin(self) -> Administrator:
        """The one for topics, groups and offsets."""
        with self._lock:
            if self._admin is None:
                self._admin = self._make(Administrator, {})
            return self._admin

    def member(self, group: str, callbacks: dict[str, Any]) -> Consumer:
        """A new member of a group, its caller's to close."""
        return self._make(Reader, {**self.settings.member, "group.id": group, **callbacks})

    @contextmanager
    def producer(self, deadline: float) -> Iterator[Sender]:
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
                producer = self._make(Sender, dict(self.settings.producer))
            yield producer
            idle.append(producer)
        finally:
            turns.release()

    @contextmanager
    def reader(self) -> Iterator[Reader]:
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
                self._reader = self._make(Reader, {**unread, **small})
            yield self._reader

    def close(self) -> None:
        """Drop every connection; the object stays usable."""
        with self._lock:
            reader, self._reader, self._admin = self._reader, None, None
            self._idle.clear()
        if reader is not None:
            reader.close()

    def _make(self, kind: type[_Client], more: dict[str, Any]) -> _Client:
        try:
            client = kind({**self.settings.client, **more})
        except KafkaException as error:
            where = f"the client for Kafka at {self.settings.servers}"
            raise ConfigurationError(f"{where}: {error.args[0].str()}; correct the URL's options") from error
        _living.add(client)
        return client


def metadata(client: Administrator | Sender, deadline: float, where: str, topic: str = "") -> ClusterMetadata:
    """
    What a client learns about one of the cluster's topics, or about all.

    Raises:
        BrokerRefused: the cluster refuses it.
        BrokerUnavailable: no answer until the deadline (by `time.monotonic`).
    """
    slices = SLICE
    while True:
        left = max(0.01, deadline - time.monotonic())
        try:
            return client.list_topics(topic or None, timeout=min(slices, left))
        except KafkaException as error:
            client.poll(0)
            client.complaints.check(where)
            if left <= slices:
                raise ours(error.args[0], where, client.complaints.last) from error
        slices *= 2  # each call asks anew, so a slow answer needs a patient one


def _forget_in_child() -> None:
    for client in list(_living):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))  # never destroyed
    _living.clear()
    for holder in list(_holders):
        holder.reset()


os.register_at_fork(after_in_child=_forget_in_child)
