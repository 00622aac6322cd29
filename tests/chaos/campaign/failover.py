# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A Redis ledger on a master and a replica: the ledger waits for both (`WAIT`), and a Sentinel promotes the replica."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from tests.chaos.campaign.handling import EFFECTS_KEY
from tests.chaos.campaign.judging import Effect
from tests.chaos.campaign.stores import Store
from tests.services.redis import RedisServer, Sentinel, running_server

PATIENCE = 120.0
NAME = "orders"
"""What the Sentinel calls the master."""


class FailoverStore(Store):
    """
    Args:
        servers: a master and its replica.
        sentinel: watches them.
    """

    def __init__(self, servers: tuple[RedisServer, RedisServer], sentinel: Sentinel) -> None:
        self._servers = {server.port: server for server in servers}
        self._sentinel = sentinel
        self.url = f"redis://127.0.0.1:1/0?sentinel={NAME}&sentinels=127.0.0.1:{sentinel.port}&wait=1"

    def crash(self) -> int:
        """The master dies for good; its replica is promoted, and the dead one comes back as the replica of that."""
        _await(self._is_whole)
        dead = self._master()
        self._servers[dead].server.kill()
        _await(lambda: self._master() != dead)
        self._servers[dead].server.start(within=60)
        with self._servers[dead].client() as client:
            client.replicaof("127.0.0.1", self._master())  # type: ignore[no-untyped-call]  # redis-py's
        return 1

    def effects(self) -> list[Effect]:
        with self._servers[self._master()].client() as client:
            return [Effect(*json.loads(row)) for row in client.lrange(EFFECTS_KEY, 0, -1)]

    def _prepare(self) -> None:
        """A list needs no making."""

    def _master(self) -> int:
        with self._sentinel.client() as watcher:
            return int(watcher.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])  # type: ignore[no-untyped-call]

    def _is_whole(self) -> bool:
        """The replica follows its master, and the Sentinel sees both."""
        master = self._master()
        try:
            for port, server in self._servers.items():
                with server.client() as client:
                    told: Any = client.info("replication")
                if (told["role"] == "master") != (port == master):
                    return False
                if port != master and told["master_link_status"] != "up":
                    return False
            return self._sees_replica()
        except redis.RedisError:
            return False

    def _sees_replica(self) -> bool:
        with self._sentinel.client() as watcher:
            found = watcher.execute_command("SENTINEL", "REPLICAS", NAME)  # type: ignore[no-untyped-call]
        flags = [
            dict(zip(one[::2], one[1::2], strict=True))[b"flags"] for one in map(list, map(_flat, found))
        ]
        return b"slave" in flags


def _flat(answer: Any) -> list[bytes]:
    """Redis-py may have made a dictionary of it."""
    return [part for pair in answer.items() for part in pair] if isinstance(answer, dict) else list(answer)


@contextmanager
def with_replica(folder: Path) -> Iterator[FailoverStore]:
    """Both servers and the Sentinel, for as long as the block lasts."""
    quick = {"repl-diskless-sync-delay": "0", "maxmemory-policy": "noeviction"}
    with running_server(folder / "one", quick) as master:
        follow = {**quick, "replicaof": f"127.0.0.1 {master.port}"}
        with running_server(folder / "two", follow) as replica:
            sentinel = Sentinel(folder / "sentinel", master)
            sentinel.server.start()
            try:
                store = FailoverStore((master, replica), sentinel)
                _await(store._is_whole)
                yield store
            finally:
                sentinel.server.kill()


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("master, replica and Sentinel did not come to terms")
        time.sleep(0.05)
