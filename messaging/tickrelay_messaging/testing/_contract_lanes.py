# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about lanes: the messages of a key, in order, with one consumer at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tickrelay_messaging.brokers.base import Broker, Delivery, QueueSpec, Subscription
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import ConfigurationError, QueueMismatch
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._children import forked
from tickrelay_messaging.testing._contract_case import ContractCase, ids_of

LANES = 4


class LanesContract(ContractCase):
    """Lanes, for brokers that have them."""

    @pytest.fixture
    def laned(self, broker: Broker) -> str:
        """A queue with four lanes."""
        self.need(broker, "lanes")
        name = f"contract-{uuid4().hex}"
        broker.declare(QueueSpec(name, lanes=LANES))
        return name

    def test_lanes_are_listed(self, broker: Broker, laned: str) -> None:
        """`queues` says how many lanes a queue has."""
        assert [LANES] == [spec.lanes for spec in broker.queues() if spec.name == laned]

    def test_lanes_are_settled(self, broker: Broker, laned: str) -> None:
        """Another number of lanes is refused with what there is; no wish, or the same, changes nothing."""
        broker.declare(QueueSpec(laned))
        broker.declare(QueueSpec(laned, lanes=LANES))
        with pytest.raises(QueueMismatch, match=f"{laned}.*{LANES} lanes"):
            broker.declare(QueueSpec(laned, lanes=LANES + 1))
        assert [LANES] == [spec.lanes for spec in broker.queues() if spec.name == laned]

    def test_who_has_no_lanes_says_so(self, broker: Broker) -> None:
        """Without the capability, a queue with lanes is refused, and nothing is declared."""
        if broker.capabilities.lanes:
            pytest.skip(f"{type(broker).__name__} has lanes")
        name = f"contract-{uuid4().hex}"
        with pytest.raises(ConfigurationError, match="lanes"):
            broker.declare(QueueSpec(name, lanes=LANES))
        assert name not in [spec.name for spec in broker.queues()]

    @pytest.mark.parametrize("lanes", [-1, 1025])
    def test_a_number_of_lanes_is_sensible(self, broker: Broker, lanes: int) -> None:
        """A number nobody can mean is refused, and nothing is declared."""
        name = f"contract-{uuid4().hex}"
        with pytest.raises(ConfigurationError, match="lanes"):
            broker.declare(QueueSpec(name, lanes=lanes))
        assert name not in [spec.name for spec in broker.queues()]

    def test_a_key_keeps_its_order(self, broker: Broker, laned: str) -> None:
        """Messages of one key come in the order they were published, through one connection or several."""
        broker.publish(laned, _keyed(0, 20))
        with self.make_broker() as other:
            other.publish(laned, _keyed(20, 40))
        with broker.subscribe(laned) as subscription:
            assert _by_key(_keyed(0, 40)) == _by_key_of(self.take(subscription, 40))

    def test_a_key_is_with_one_consumer(self, broker: Broker, laned: str) -> None:
        """While a consumer holds a key's message, the next ones of that key go to nobody else."""
        broker.publish(laned, _one_key("before", 2))
        first, second = broker.subscribe(laned), broker.subscribe(laned)
        with first, second:
            holder, other, held = self._whoever_gets_one(first, second)
            broker.publish(laned, _one_key("after", 3))
            assert [] == other.receive(10, self.silence)
            rest = self.take(holder, 5 - len(held))
            assert [f"before{n}" for n in range(2)] + [f"after{n}" for n in range(3)] == ids_of(held + rest)

    def test_consumers_share_the_lanes(self, broker: Broker, laned: str) -> None:
        """A consumer that joins gets its share of the lanes, also when the first had all of them."""
        with broker.subscribe(laned) as first:
            broker.publish(laned, _keyed(0, 40))
            first.acknowledge(self.take(first, 40))
            with broker.subscribe(laned) as second:
                working: set[Subscription] = set()
                deadline = time.monotonic() + self.patience
                while len(working) < 2 and time.monotonic() < deadline:
                    broker.publish(laned, _keyed(0, 40))
                    working |= {one for one in (second, first) if self._work_on_some(one)}
                assert {first, second} == working

    def test_a_key_moves_with_what_was_unfinished(self, broker: Broker, laned: str) -> None:
        """When a consumer leaves, what it held of a key comes before what was published later."""
        broker.publish(laned, _one_key("before", 2))
        leaver = broker.subscribe(laned)
        self.take(leaver, 2)
        broker.publish(laned, _one_key("after", 2))
        with broker.subscribe(laned) as stayer, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.take, stayer, 4)
            leaver.close()
            assert ["before0", "before1", "after0", "after1"] == ids_of(waiting.result(self.patience * 2))

    def test_a_killed_consumers_lanes_move(self, broker: Broker, laned: str) -> None:
        """The lanes of a killed consumer go to the others, with everything in its order."""
        self.need(broker, "shared")
        broker.publish(laned, _keyed(0, 8))
        with forked(self.hold(laned, 8)) as child:
            child.wait_until_said()
            broker.publish(laned, _keyed(8, 16))
            with broker.subscribe(laned) as survivor:
                child.kill()
                assert _by_key(_keyed(0, 16)) == _by_key_of(self.take(survivor, 16))

    def _whoever_gets_one(
        self, first: Subscription, second: Subscription
    ) -> tuple[Subscription, Subscription, list[Delivery]]:
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            for one, other in ((first, second), (second, first)):
                if held := one.receive(1, 0.05):
                    return one, other, held
        pytest.fail(f"neither consumer got a message in {self.patience} s")

    def _work_on_some(self, subscription: Subscription) -> bool:
        deliveries = subscription.receive(10, 0.05)
        subscription.acknowledge(deliveries)
        return bool(deliveries)


def _keyed(start: int, end: int) -> list[Message]:
    return [Message.of(n, id=f"m{n}", key=f"key{n % 10}") for n in range(start, end)]


def _one_key(prefix: str, count: int) -> list[Message]:
    return [Message.of(n, id=f"{prefix}{n}", key="same") for n in range(count)]


def _by_key(messages: list[Message]) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    for message in messages:
        found.setdefault(message.key, []).append(message.id)
    return found


def _by_key_of(deliveries: list[Delivery]) -> dict[str | None, list[str]]:
    return _by_key([decode(delivery.headers, delivery.body) for delivery in deliveries])
