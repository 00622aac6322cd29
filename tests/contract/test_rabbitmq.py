# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ keeps the contract, on a real node; on one of RabbitMQ 4 too, where `TICKRELAY_TRIXIE` says where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.services.rabbitmq import RabbitNode, running_node
from tests.services.rabbitmq4 import Rabbit4Node

from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.testing import BrokerContract

KINDS = (RabbitNode, *((Rabbit4Node,) if "TICKRELAY_TRIXIE" in os.environ else ()))


@pytest.fixture(scope="module", params=KINDS)
def node(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[RabbitNode]:
    """One node of a kind for all tests; each has queues of its own."""
    with running_node(tmp_path_factory.mktemp("rabbitmq"), request.param) as node:
        yield node


class TestRabbitBroker(BrokerContract):
    """`amqp:` without the management API."""

    @pytest.fixture(autouse=True)
    def _node(self, node: RabbitNode) -> None:
        self.url = node.url()

    def make_broker(self) -> Broker:
        """Connections to one node."""
        return open_broker(self.url)
