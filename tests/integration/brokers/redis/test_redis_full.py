# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the Redis broker does when the server has no room left, in memory or on its disk."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from tests.services.process import need
from tests.services.redis import (
    STREAM,
    ids_of,
    messages,
    running_server,
    take,
    wait_for,
    with_orders,
)

from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.errors import (
    PublishUnconfirmed,
    ServiceError,
    StorageFull,
)


def test_a_full_server_stores_nothing_of_a_refused_batch(tmp_path: Path) -> None:
    """Out of memory: StorageFull when nothing was stored, else exactly the unstored messages are named."""
    limits = {"maxmemory": "8mb", "maxmemory-policy": "noeviction"}
    with (
        running_server(tmp_path, limits) as server,
        open_broker(server.url()) as broker,
        server.client() as bare,
    ):
        broker.declare(QueueSpec("orders"))
        with pytest.raises(PublishUnconfirmed) as caught:
            broker.publish("orders", messages(20_000, 1000))
        stored = {entry[1][b"ce_id"].decode() for entry in bare.xrange(STREAM)}
        everything = {f"m{number}" for number in range(20_000)}
        assert stored
        assert everything - stored == set(caught.value.ids)
        bare.config_set("maxmemory", "2mb")
        with pytest.raises(StorageFull):
            broker.publish("orders", messages(600, 1000))
        assert len(stored) == bare.xlen(STREAM)
        with broker.subscribe("orders") as subscription:  # consuming goes on, and makes room
            while deliveries := subscription.receive(500):
                subscription.acknowledge(deliveries)
        bare.config_set("maxmemory", "8mb")
        broker.publish("orders", messages(600, 1000))


def test_a_full_disk_is_told_and_costs_nothing(tmp_path: Path) -> None:
    """While the server can't write its log, publishing is StorageFull and stores nothing; afterwards all goes on."""
    under = (
        need("sh"),
        "-c",
        "trap '' XFSZ; exec \"$@\"",
        "limited",
    )  # writing too much is an error, not the end
    with (
        running_server(tmp_path, {"appendfsync": "everysec", "aof-use-rdb-preamble": "no"}, under) as server,
        with_orders(server.url()) as broker,
        server.client() as bare,
    ):
        process = bare.info("server")["process_id"]
        broker.publish("orders", messages(10))
        resource.prlimit(process, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        wait_for(lambda: _refused(broker, StorageFull))
        stored = bare.xlen(STREAM)
        with pytest.raises(StorageFull, match="disk"):
            broker.publish("orders", messages(600, 1000))
        assert stored == bare.xlen(STREAM)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for(lambda: not _refused(broker, StorageFull))
        server.server.restart()
        with broker.subscribe("orders") as subscription:
            assert set(ids_of(take(subscription, stored))) == {f"m{number}" for number in range(10)}


def _refused(broker: Broker, error: type[ServiceError]) -> bool:
    """Whether a publish of ten messages is refused, or breaks off."""
    try:
        broker.publish("orders", messages(10, 1000))
    except ServiceError as caught:
        return isinstance(caught, error)
    return False
