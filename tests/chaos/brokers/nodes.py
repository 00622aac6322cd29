# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The three servers under one name: started, killed with SIGKILL, started again on what they had written."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.services.behind_proxy import QUICK_RETURN
from tests.services.kafka import Kafka
from tests.services.rabbitmq import running_node
from tests.services.redis import running_server
from tests.services.toxiproxy import running_toxiproxy

BROKERS = ("redis", "rabbitmq", "kafka")
QUORUM_SECONDS = 2.0
"""RabbitMQ 3.10 killed within a second of a quorum queue's declaration forgets it; the broker's docstring says so."""


class Node(Protocol):
    """
    Attributes:
        url: for clients.
    """

    url: str

    def kill(self) -> None:
        """SIGKILL; its folder stays."""

    def start_again(self) -> None:
        """Start it on what it had written; returns when it answers."""

    def declared(self) -> None:
        """Called once after the queue was declared: returns when that outlives a kill."""


class _Redis:
    def __init__(self, server: object) -> None:
        self._server = server.server  # type: ignore[attr-defined]
        self.url = server.url(lease=3.0)  # type: ignore[attr-defined]

    def kill(self) -> None:
        self._server.kill()

    def start_again(self) -> None:
        self._server.start()

    def declared(self) -> None:
        """On the disk before it is confirmed."""


class _Kafka(_Redis):
    def __init__(self, node: Kafka) -> None:
        self._server = node.server
        self.url = node.url("session.timeout.ms=6000&heartbeat.interval.ms=300")


class _Rabbit:
    def __init__(self, node: object) -> None:
        self._node = node
        self.url = node.url()  # type: ignore[attr-defined]

    def kill(self) -> None:
        self._node.kill()  # type: ignore[attr-defined]

    def start_again(self) -> None:
        self._node.start_again()  # type: ignore[attr-defined]

    def declared(self) -> None:
        time.sleep(QUORUM_SECONDS)


@contextmanager
def slowed(node: Node, folder: Path) -> Iterator[None]:
    """Behind the real toxiproxy, which answers late and in pieces; not for Kafka, which names its own address."""
    host, port = re.findall(r"(127\.0\.0\.1):(\d+)", node.url)[0]
    with running_toxiproxy(folder / "toxiproxy") as toxiproxy:
        front = toxiproxy.front("broker", int(port))
        toxiproxy.toxic("broker", "latency", latency=5, jitter=5)
        toxiproxy.toxic("broker", "slicer", average_size=1000, size_variation=500, delay=10)
        node.url = node.url.replace(f"{host}:{port}", f"{host}:{front}")
        yield


@contextmanager
def running(broker: str, folder: Path) -> Iterator[Node]:
    """A server of its own for as long as the block lasts."""
    place = folder / broker
    if broker == "kafka":
        place.mkdir(parents=True)
        kafka = Kafka(place, **QUICK_RETURN)
        try:
            kafka.start()
            yield _Kafka(kafka)
        finally:
            kafka.server.kill()
    elif broker == "rabbitmq":
        with running_node(place) as node:
            yield _Rabbit(node)
    else:
        with running_server(place) as server:
            yield _Redis(server)
