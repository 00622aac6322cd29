# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Each server with a proxy in front of it, through which everybody has to go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.services.kafka import Kafka
from tests.services.proxy import Proxy, proxied
from tests.services.rabbitmq import running_node
from tests.services.redis import running_server

QUICK_RETURN = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "300"}
"""For a Kafka that is killed: its controller lets it return only when the session of the dead one is over (9 s)."""
_PLAIN: Mapping[str, str] = {
    "redis": "lease=3&timeout=5",
    "rabbitmq": "heartbeat=60",
    "kafka": "session.timeout.ms=6000&heartbeat.interval.ms=300",
}


class Place(NamedTuple):
    """Where clients connect to."""

    url: str
    proxy: Proxy


@contextmanager
def behind_proxy(broker: str, folder: Path, options: str = "") -> Iterator[Place]:
    """
    A server of its own and its proxy, for as long as the block lasts.

    Args:
        broker: redis, rabbitmq or kafka.
        options: of the URL, instead of ours.
    """
    with {"redis": _redis, "rabbitmq": _rabbitmq, "kafka": _kafka}[broker](folder) as (address, proxy):
        yield Place(f"{address}?{options or _PLAIN[broker]}", proxy)


@contextmanager
def _redis(folder: Path) -> Iterator[tuple[str, Proxy]]:
    with running_server(folder) as server, proxied(server.port) as proxy:
        yield f"redis://127.0.0.1:{proxy.port}/0", proxy


@contextmanager
def _rabbitmq(folder: Path) -> Iterator[tuple[str, Proxy]]:
    with running_node(folder) as node, proxied(node.port) as proxy:
        yield f"amqp://guest:guest@127.0.0.1:{proxy.port}/", proxy


@contextmanager
def _kafka(folder: Path) -> Iterator[tuple[str, Proxy]]:
    """Kafka tells its clients where it is, so it's told to name the proxy."""
    folder.mkdir(parents=True)
    with proxied() as proxy:
        kafka = Kafka(folder, **{"advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"})
        proxy.upstream = int(kafka.address.rpartition(":")[2])
        try:
            kafka.start()
            yield f"kafka://127.0.0.1:{proxy.port}", proxy
        finally:
            kafka.server.kill()
