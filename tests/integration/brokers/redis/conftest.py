# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A Redis server for the tests of a file that don't need one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from tests.services.redis import RedisServer, emptied, running_server, with_orders

from tickrelay_messaging.brokers import Broker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests of a file."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def bare(server: RedisServer) -> Iterator[redis.Redis]:
    """A bare client of an empty server."""
    with emptied(server) as client:
        yield client


@pytest.fixture
def broker(server: RedisServer, bare: redis.Redis) -> Iterator[Broker]:
    """A broker with the queue `orders`."""
    with with_orders(server.url()) as broker:
        yield broker
