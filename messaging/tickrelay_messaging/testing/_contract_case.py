# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the parts of the broker contract share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, Delivery, QueueSpec, Subscription
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.message import Message

PATIENCE = 20.0
"""Longest wait in seconds for something that must happen."""
SILENCE = 0.2
"""How long in seconds nothing must come, where nothing may."""


class ContractCase:
    """What the parts of the suite share."""

    patience = PATIENCE
    silence = SILENCE

    def make_broker(self) -> Broker:
        """A fresh connection; all of one test lead to the same queues. Also called in forked children."""
        raise NotImplementedError

    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        """A connection that is closed after the test."""
        with self.make_broker() as broker:
            yield broker

    @pytest.fixture
    def queue(self, broker: Broker) -> str:
        """A declared queue with the default group, new in every test."""
        name = f"contract-{uuid4().hex}"
        broker.declare(QueueSpec(name))
        return name

    def need(self, broker: Broker, capability: str) -> None:
        """Skip the test where a capability is missing."""
        if not getattr(broker.capabilities, capability):
            pytest.skip(f"{type(broker).__name__} lacks the capability {capability}")

    def messages(self, count: int) -> list[Message]:
        """Messages with the ids m0, m1, m2..."""
        return [Message.of({"number": number}, id=f"m{number}") for number in range(count)]

    def take(self, subscription: Subscription, count: int) -> list[Delivery]:
        """Exactly so many deliveries, however many calls that needs."""
        taken: list[Delivery] = []
        while len(taken) < count:
            more = subscription.receive(count - len(taken), self.patience)
            assert more, f"only {len(taken)} of {count} messages came in {self.patience} s"
            taken += more
        return taken

    def hold(self, queue: str, count: int) -> Callable[[Callable[[], None]], None]:
        """What a forked child does: take so many messages, say so, and keep them until it's killed."""

        def work(say: Callable[[], None]) -> None:
            with self.make_broker() as broker, broker.subscribe(queue) as subscription:
                self.take(subscription, count)
                say()
                while True:
                    signal.pause()

        return work

    def assert_nothing_left(self, broker: Broker, queue: str, group: str = DEFAULT_GROUP) -> None:
        """A new subscription of the group gets nothing."""
        with broker.subscribe(queue, group) as subscription:
            assert [] == ids_of(subscription.receive(1, self.silence))


def ids_of(deliveries: list[Delivery]) -> list[str]:
    """The messages' ids, in order."""
    return [decode(delivery.headers, delivery.body).id for delivery in deliveries]
