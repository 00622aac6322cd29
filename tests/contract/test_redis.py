# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis broker keeps the contract, on a real server; once more with no user having a right it doesn't need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import pytest
from tests.services.redis import RedisServer, allow_all, running_server

from tickrelay_messaging.brokers import Broker, GroupStats, Peeked, QueueSpec, Subscription, open_broker
from tickrelay_messaging.brokers.base import DEFAULT_GROUP
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing import BrokerContract


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all of the suite; its queues have names of their own."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        with server.client() as client:
            allow_all(client)
        yield server


class TestRedisBroker(BrokerContract):
    """`redis:`, a stream a queue."""

    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> None:
        with server.client() as client:
            client.flushall()
        self.url = server.url(lease=2.5, options="&retention=3600")

    def make_broker(self) -> Broker:
        """Connections to one server."""
        return open_broker(self.url)


class TestRedisBrokerByRoles(TestRedisBroker):
    """The same where every verb is spoken by the one user that docs/operations/redis.md has for it."""

    def make_broker(self) -> Broker:
        """A broker that consists of five users."""
        return _Roles(self.url)


class _Roles(Broker):
    """Each verb through a connection of its own role, made when it's first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: list[Broker] = []
        self.capabilities = self._viewer.capabilities

    def _as(self, role: str) -> Broker:
        self._open.append(open_broker(self._url.replace("redis://", f"redis://{role}:pw@")))
        return self._open[-1]

    @cached_property
    def _declarer(self) -> Broker:
        return self._as("declarer")

    @cached_property
    def _publisher(self) -> Broker:
        return self._as("publisher")

    @cached_property
    def _consumer(self) -> Broker:
        return self._as("consumer")

    @cached_property
    def _viewer(self) -> Broker:
        return self._as("viewer")

    @cached_property
    def _purger(self) -> Broker:
        return self._as("purger")

    def declare(self, spec: QueueSpec) -> None:
        self._declarer.declare(spec)

    def replay(self, queue: str, group: str, *, since: float | None = None, after: str | None = None) -> None:
        self._declarer.replay(queue, group, since=since, after=after)

    def forget(self, queue: str, group: str) -> None:
        self._declarer.forget(queue, group)

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        self._publisher.publish(queue, messages, timeout=timeout)

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> Subscription:
        return self._consumer.subscribe(queue, group)

    def queues(self) -> list[QueueSpec]:
        return self._viewer.queues()

    def stats(self, queue: str) -> list[GroupStats]:
        return self._viewer.stats(queue)

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        return self._viewer.peek(queue, after=after, limit=limit)

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        return self._purger.purge(queue, group)

    def close(self) -> None:
        for one in self._open:
            one.close()
