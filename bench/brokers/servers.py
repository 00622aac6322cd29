# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The servers that the tests use, with room for a million messages."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.kafka import VERSION, Kafka
from tests.services.process import need
from tests.services.rabbitmq import RabbitNode
from tests.services.redis import running_server


@dataclass(frozen=True, slots=True)
class Running:
    """
    Attributes:
        url: for ours; bare clients and peers read host and port out of it.
        about: server and settings in words.
    """

    url: str
    about: str


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Running]:
    """One node; quorum queues of one member."""
    folder.mkdir()
    node = RabbitNode(folder)
    settings = folder / "rabbitmq.conf"
    # The tests' node shall run out of memory when asked to; this one not on a million messages.
    settings.write_text(settings.read_text().replace("absolute = 512MB", "absolute = 4GB"))
    try:
        node.start()
        version = node.control("version").strip()
        yield Running(node.url(), f"RabbitMQ {version}, one node, quorum queue")
    finally:
        node.stop()


@contextmanager
def kafka(folder: Path) -> Iterator[Running]:
    """One node, broker and controller in one."""
    folder.mkdir()
    server = Kafka(folder)
    try:
        server.start()
        yield Running(server.url(), f"Kafka {VERSION}, one node, acks=all, 8 partitions")
    finally:
        server.server.kill()


@contextmanager
def redis(folder: Path) -> Iterator[Running]:
    """One server that writes to the disk before it answers."""
    with running_server(folder) as server:
        version = subprocess.run(
            [need("redis-server"), "--version"], capture_output=True, text=True, check=True
        )
        number = version.stdout.partition("v=")[2].split()[0]
        yield Running(server.url(lease=10), f"Redis {number}, appendfsync=always")


Start = Callable[[Path], AbstractContextManager[Running]]
