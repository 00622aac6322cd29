# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ keeps the contract, on a real node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.services.rabbitmq import RabbitNode, running_node

from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.testing import BrokerContract


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One node for all tests; each has queues of its own."""
    with running_node(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


class TestRabbitBroker(BrokerContract):
    """`amqp:` without the management API."""

    @pytest.fixture(autouse=True)
    def _node(self, node: RabbitNode) -> None:
        self.url = node.url()

    def make_broker(self) -> Broker:
        """Connections to one node."""
        return open_broker(self.url)
