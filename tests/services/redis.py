# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A private Redis server that loses nothing it has confirmed: `appendonly yes`, `appendfsync always`.

And what its tests share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.services.process import Server, answers, free_ports, need
from tickrelay_messaging.brokers import Broker, Delivery, QueueSpec, Subscription, open_broker
from tickrelay_messaging.brokers.redis import RIGHTS
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import BrokerUnavailable
from tickrelay_messaging.message import Message

LEASE = 1.5
"""Seconds: long enough for a stopped consumer of the contract suite, short enough to wait for."""
PATIENCE = 30.0
STREAM = "tickrelay:{orders}"


class RedisServer:
    """
    One server on a free port.

    Args:
        folder: takes its data and log.
        options: further settings, as in redis.conf.
        under: a command that becomes the server, such as one that limits it first.
    """

    def __init__(
        self, folder: Path, options: Mapping[str, str] | None = None, under: Sequence[str] = ()
    ) -> None:
        self.port, self.tls_port = free_ports(2)
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            **(options or {}),
        }
        flat = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self.server = Server([*under, need("redis-server"), *flat], self._answers, folder / "redis.log")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        """A bare client, to look behind the broker's back."""
        return redis.Redis(port=self.port, protocol=2, socket_timeout=10)

    def url(self, user: str = "", options: str = "", *, lease: float = LEASE) -> str:
        """Where a broker connects to; `user` is `name:password`."""
        return f"redis://{user}{'@' if user else ''}127.0.0.1:{self.port}/0?lease={lease}{options}"


class Sentinel:
    """
    One Sentinel that alone decides (quorum 1), after half a second.

    Args:
        folder: takes its settings and log.
        master: whom it watches, by the name `orders`.
    """

    def __init__(self, folder: Path, master: RedisServer) -> None:
        (self.port,) = free_ports(1)
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"sentinel monitor orders 127.0.0.1 {master.port} 1",
        ]
        lines += ["sentinel down-after-milliseconds orders 500", "sentinel failover-timeout orders 3000"]
        (folder / "sentinel.conf").write_text("\n".join(lines))
        command = [need("redis-server"), str(folder / "sentinel.conf"), "--sentinel"]
        self.server = Server(command, lambda: answers(self.port), folder / "sentinel.log")

    def client(self) -> redis.Redis:
        """A bare client of the Sentinel itself."""
        return redis.Redis(port=self.port, protocol=2, socket_timeout=10)


@contextmanager
def running_server(
    folder: Path, options: Mapping[str, str] | None = None, under: Sequence[str] = ()
) -> Iterator[RedisServer]:
    """A server for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    started = RedisServer(folder, options, under)
    try:
        started.server.start(within=20)
        yield started
    finally:
        started.server.kill()


@contextmanager
def emptied(server: RedisServer) -> Iterator[redis.Redis]:
    """A bare client of a server with nothing on it."""
    with server.client() as client:
        client.flushall()
        yield client


@contextmanager
def with_orders(url: str, *, lanes: int = 0) -> Iterator[Broker]:
    """A broker with the queue `orders`."""
    with open_broker(url) as broker:
        broker.declare(QueueSpec("orders", lanes=lanes))
        yield broker


def allow(bare: redis.Redis, user: str, rights: str) -> None:
    """Make a user with the password `pw` and these rights on our keys, as docs/operations/redis.md says."""
    command = ("ACL", "SETUSER", user, "reset", "on", ">pw", "~tickrelay:*", *rights.split())
    bare.execute_command(*command)


def allow_all(bare: redis.Redis) -> None:
    """A user for each of the documented roles, named like it."""
    for user, rights in RIGHTS.items():
        allow(bare, user, rights)


def messages(count: int, size: int = 0) -> list[Message]:
    """Messages m0, m1, m2..."""
    return [Message.of("x" * size, id=f"m{number}") for number in range(count)]


def ids_of(deliveries: Sequence[Delivery]) -> list[str]:
    """The messages' ids."""
    return [decode(delivery.headers, delivery.body).id for delivery in deliveries]


def take(subscription: Subscription, count: int) -> list[Delivery]:
    """So many deliveries, through whatever outage lies between."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(taken) < count:
        assert time.monotonic() < deadline, f"only {len(taken)} of {count} messages came"
        try:
            taken += subscription.receive(count - len(taken), 1)
        except BrokerUnavailable:
            continue  # the next call connects anew, after a pause of its own
    return taken


def wait_for(condition: Callable[[], object]) -> None:
    """Until it's true, with a bound."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting_clients(bare: redis.Redis) -> list[int]:
    """Connections that wait inside XREADGROUP or XREAD."""
    return [int(one["id"]) for one in bare.client_list() if one["flags"] == "b"]
