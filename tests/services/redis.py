# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A private Redis server that loses nothing it has confirmed: `appendonly yes`, `appendfsync always`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis
from tests.services.process import Server, answers, free_ports, need

LEASE = 1.5
"""Seconds: long enough for a stopped consumer of the contract suite, short enough to wait for."""


class RedisServer:
    """
    One server on a free port.

    Args:
        folder: takes its data and log.
        options: further settings, as in redis.conf.
    """

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
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
        self.server = Server([need("redis-server"), *flat], self._answers, folder / "redis.log")

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
def running_server(folder: Path, options: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """A server for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    started = RedisServer(folder, options)
    try:
        started.server.start(within=20)
        yield started
    finally:
        started.server.kill()
