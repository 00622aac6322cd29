# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which servers and settings the Redis broker accepts."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from tests.services.process import free_ports
from tests.services.redis import (
    RedisServer,
    running_server,
)

from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    ConfigurationError,
)


def test_an_evicting_server_is_refused(server: RedisServer, bare: redis.Redis) -> None:
    """A server that may throw queues away is refused, with what to set; one that spares them is not."""
    try:
        for policy in ("allkeys-lru", "allkeys-random"):
            bare.config_set("maxmemory-policy", policy)
            with pytest.raises(ConfigurationError, match="maxmemory-policy noeviction"):
                open_broker(server.url())
        bare.config_set("maxmemory-policy", "volatile-lru")
        open_broker(server.url()).close()
    finally:
        bare.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_writes_nothing_down_is_not_called_durable(tmp_path: Path) -> None:
    """The capability `durable` says what this server does with a confirmed message."""
    with running_server(tmp_path, {"appendonly": "no"}) as server, open_broker(server.url()) as broker:
        assert not broker.capabilities.durable
        with server.client() as bare:
            bare.config_set("appendonly", "yes")
        with open_broker(server.url()) as later:
            assert later.capabilities.durable


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1/zero",
        "redis://127.0.0.1/0?lease=0",
        "redis://127.0.0.1/0?lease=nan",
        "redis://127.0.0.1/0?no_such=1",
        "redis://127.0.0.1/0?ssl_check_hostname=no",
        "rediss://127.0.0.1/0?ssl_ca_certs=/no/such/file",
        "rediss://127.0.0.1/0?ssl_cert_reqs=maybe",
        "redis://:p%23w@127.0.0.1:1/0#fragment",
        "redis://127.0.0.1/0?prefix=a:b",
    ],
)
def test_a_bad_url_is_refused(url: str) -> None:
    """An option nobody reads, or one out of bounds, is refused before anybody is asked."""
    with pytest.raises(ConfigurationError):
        open_broker(url)


def test_nobody_there_is_an_outage() -> None:
    """A server that can't be reached is BrokerUnavailable, worth another try."""
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1/0"):
        open_broker("redis://:s3cret@127.0.0.1:1/0")


def test_a_node_of_a_cluster_is_refused(tmp_path: Path) -> None:
    """A Redis Cluster is refused when connecting, with what to use instead."""
    # Without a port of its own the cluster's bus takes the server's + 10,000, which not every free port has above it.
    settings = {"cluster-enabled": "yes", "cluster-port": str(free_ports(1)[0])}
    with (
        running_server(tmp_path, settings) as server,
        pytest.raises(ConfigurationError, match=r"Cluster.*one server"),
    ):
        open_broker(server.url())


@pytest.mark.parametrize("retention", ["-1", "nan", "1e9", "a day"])
def test_a_retention_is_sensible(retention: str) -> None:
    """A retention is up to a year, in seconds."""
    with pytest.raises(ConfigurationError, match="retention"):
        open_broker(f"redis://127.0.0.1:1/0?retention={retention}")
