# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a failover by Sentinel does to the Redis broker's queues."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.services.redis import (
    RedisServer,
    Sentinel,
    ids_of,
    messages,
    running_server,
    take,
    wait_for,
)

from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    PublishUnconfirmed,
)
from tickrelay_messaging.message import Message


def test_a_failover_loses_nothing_confirmed(tmp_path: Path) -> None:
    """With `replicas=1`, what was confirmed is on the master that a Sentinel makes of the replica."""
    quick = {"repl-diskless-sync-delay": "0"}
    with running_server(tmp_path / "a", quick) as master:
        follow = {**quick, "replicaof": f"127.0.0.1 {master.port}", "replica-priority": "1"}
        with running_server(tmp_path / "b", follow) as replica, replica.client() as bare:
            with pytest.raises(BrokerUnavailable, match="replica"):
                open_broker(replica.url())
            sentinel = Sentinel(tmp_path / "s", master)
            sentinel.server.start()
            try:
                with sentinel.client() as watcher:
                    wait_for(lambda: bare.info("replication")["master_link_status"] == "up")
                    wait_for(lambda: watcher.execute_command("SENTINEL", "REPLICAS", "orders"))
                url = f"redis://127.0.0.1:1/0?lease=2&sentinel=orders&replicas=1&sentinels=127.0.0.1:{sentinel.port}"
                _fail_over(url, url.replace("replicas=1", "replicas=0"), master)
            finally:
                sentinel.server.kill()


def _fail_over(url: str, alone: str, master: RedisServer) -> None:
    with open_broker(url) as broker, open_broker(alone) as later:
        broker.declare(QueueSpec("orders"))
        with broker.subscribe("orders") as subscription:
            broker.publish("orders", messages(500))
            held = take(subscription, 10)
            master.server.kill()
            rest = take(subscription, 490)
            assert {f"m{number}" for number in range(500)} == set(ids_of(held + rest))
            with pytest.raises(PublishUnconfirmed) as caught:  # there is no replica any more
                broker.publish("orders", messages(2), timeout=0.5)
            assert ("m0", "m1") == caught.value.ids
            later.publish("orders", [Message.of(0, id="after")])
            while "after" not in ids_of(take(subscription, 1)):
                pass
