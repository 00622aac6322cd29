# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the SQLite broker share: messages, and a way to work them off."""

from __future__ import annotations

from tickrelay_messaging.brokers import Subscription
from tickrelay_messaging.message import Message


def some(count: int, size: int = 10, key: str | None = None) -> list[Message]:
    """Messages m0, m1... with bodies of so many bytes."""
    return [Message(id=f"m{number}", body=b"x" * size, key=key) for number in range(count)]


def drain(subscription: Subscription) -> list[str]:
    """Receive and acknowledge until nothing is left; the positions that came."""
    positions: list[str] = []
    while deliveries := subscription.receive(100):
        subscription.acknowledge(deliveries)
        positions += [delivery.position for delivery in deliveries]
    return positions
