# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The reference says of each broker what its code says; of Redis, whose server decides, `test_replay_command` asks."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from tests.unit.brokers.capabilities_table import shown

from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.brokers.kafka import KafkaBroker
from tickrelay_messaging.brokers.memory import MemoryBroker
from tickrelay_messaging.brokers.rabbitmq import RabbitBroker
from tickrelay_messaging.brokers.sqlite import SqliteBroker


@pytest.mark.parametrize(
    ("name", "broker"),
    [("SQLite", SqliteBroker), ("memory", MemoryBroker), ("RabbitMQ", RabbitBroker), ("Kafka", KafkaBroker)],
)
def test_the_table_of_capabilities_is_true(name: str, broker: type[Broker]) -> None:
    """Every capability has its row, and every broker's column agrees with its class."""
    assert asdict(broker.capabilities) == shown(name)
