# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Kafka keeps the contract, on one partition as on several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.services.kafka import IMPATIENT, Kafka, running_kafka

from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing import BrokerContract
from tickrelay_messaging.testing._children import forked
from tickrelay_messaging.testing._contract_case import ids_of
from tickrelay_messaging.testing._contract_publish import PublishContract


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One node for all tests, which use queues of their own."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as node:
        yield node


class TestKafkaBroker(BrokerContract):
    """One partition: one order for the whole queue; the tests of lanes make four."""

    @pytest.fixture(autouse=True)
    def _node(self, kafka: Kafka) -> None:
        self.url = kafka.url(f"partitions=1&{IMPATIENT}")

    def make_broker(self) -> Broker:
        """Connections to one node."""
        return open_broker(self.url)


class TestKafkaBrokerByKey(PublishContract):
    """The partitions it has by default: one order a key. What consumers do with several is among the faults' tests."""

    @pytest.fixture(autouse=True)
    def _node(self, kafka: Kafka) -> None:
        self.url = kafka.url(IMPATIENT)

    def make_broker(self) -> Broker:
        """Connections to one node."""
        return open_broker(self.url)

    def messages(self, count: int) -> list[Message]:
        """All of one key, since only then they have an order."""
        return [replace(message, key="one") for message in super().messages(count)]

    def test_a_forked_child_may_publish(self, broker: Broker, queue: str) -> None:
        """A broker made before a fork works on both sides of it; without a key, in no order between partitions."""
        broker.publish(queue, [Message.of(0, id="parent before")])
        with forked(lambda say: broker.publish(queue, [Message.of(1, id="child")])) as child:
            assert 0 == child.join()
        broker.publish(queue, [Message.of(2, id="parent after")])
        with broker.subscribe(queue) as subscription:
            assert {"parent before", "child", "parent after"} == set(ids_of(self.take(subscription, 3)))
