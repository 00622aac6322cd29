# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the tests on Kafka publish, take and wait for."""

from __future__ import annotations

import time

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.brokers.kafka.subscription import KafkaSubscription
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.message import Message

PATIENCE = 30.0


def numbered(count: int, *, prefix: str = "m", key: str | None = None) -> list[Message]:
    """So many messages, their ids a prefix and a number."""
    return [Message.of(number, id=f"{prefix}{number}", key=key) for number in range(count)]


def ids(deliveries: list[Delivery]) -> list[str]:
    """The ids of what was received, in its order."""
    return [decode(delivery.headers, delivery.body).id for delivery in deliveries]


def take(subscription: KafkaSubscription, count: int) -> list[Delivery]:
    """Receive exactly so many."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(taken) < count and time.monotonic() < deadline:
        taken += subscription.receive(count - len(taken), 1.0)
    assert count == len(taken)
    return taken


def await_share(subscription: KafkaSubscription) -> None:
    """Until the group has given it partitions."""
    deadline = time.monotonic() + PATIENCE
    while not subscription.lanes():
        assert time.monotonic() < deadline, "it never got a partition"
        time.sleep(0.02)
