# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis broker keeps the contract, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.services.redis import RedisServer, running_server

from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.testing import BrokerContract


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all of the suite; its queues have names of their own."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


class TestRedisBroker(BrokerContract):
    """`redis:`, a stream a queue."""

    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> None:
        with server.client() as client:
            client.flushall()
        self.url = server.url(lease=2.5)

    def make_broker(self) -> Broker:
        """Connections to one server."""
        return open_broker(self.url)
