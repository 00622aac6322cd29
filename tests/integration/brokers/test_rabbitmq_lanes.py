# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Lanes on RabbitMQ while consumers come and go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event, Lock
from uuid import uuid4

import pika
import pytest
from tests.services.rabbitmq import RabbitNode, running_node

from tickrelay_messaging.brokers import Broker, Delivery, QueueSpec, Subscription
from tickrelay_messaging.brokers.rabbitmq import RabbitBroker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import PublishUnconfirmed, QueueMismatch
from tickrelay_messaging.message import Message

PATIENCE = 40.0
LANES, KEYS, COUNT = 6, 30, 6_000


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One node."""
    with running_node(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


class Crew:
    """What all consumers have in their hands, and what they are done with."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.holders: dict[str, set[int]] = defaultdict(set)
        self.order: dict[str, list[int]] = defaultdict(list)
        self.workers: set[int] = set()
        self.wrong: list[str] = []
        self.done = 0

    def work(self, broker: Broker, queue: str, number: int, leave: Event) -> None:
        """Consume until told to leave, or until all is done."""
        with broker.subscribe(queue) as subscription:
            while not leave.is_set() and self.done < COUNT:
                deliveries = subscription.receive(20, 0.1)
                messages = [decode(one.headers, one.body) for one in deliveries]
                self.take(number, messages)
                time.sleep(0.002)
                self.finish(number, messages)
                subscription.acknowledge(deliveries)

    def take(self, number: int, messages: list[Message]) -> None:
        with self.lock:
            for message in messages:
                key = str(message.key)
                self.holders[key].add(number)
                if len(self.holders[key]) > 1:
                    self.wrong.append(f"{key} is with {self.holders[key]}")
                self.order[key].append(message.data)

    def finish(self, number: int, messages: list[Message]) -> None:
        with self.lock:
            for message in messages:
                self.holders[str(message.key)].discard(number)
            self.workers |= {number} if messages else set()
            self.done = sum(len(order) for key, order in self.order.items() if key[0] == "k")


def test_nobody_shares_a_key_while_consumers_come_and_go(node: RabbitNode) -> None:
    """Three consumers join and one leaves under load: each gets work, no key is with two, every key keeps its order."""
    queue, crew = f"lanes-{uuid4().hex}", Crew()
    leave, never = Event(), Event()
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        brokers = [stack.enter_context(RabbitBroker(node.url())) for _ in range(4)]
        brokers[0].declare(QueueSpec(queue, lanes=LANES))
        working = [pool.submit(crew.work, brokers[0], queue, 0, leave)]
        for start in range(0, COUNT, 100):
            batch = [Message.of(n, id=f"m{n}", key=f"k{n % KEYS}") for n in range(start, start + 100)]
            brokers[3].publish(queue, batch)
            if start in (1000, 2000):
                number = start // 1000
                working.append(pool.submit(crew.work, brokers[number], queue, number, never))
                deadline = time.monotonic() + PATIENCE
                while number not in crew.workers and time.monotonic() < deadline:
                    more = [Message.of(-1, id=f"{uuid4()}", key=f"nobody{n}") for n in range(KEYS)]
                    brokers[3].publish(queue, more)
                    time.sleep(0.05)
            if start == 3000:
                leave.set()
        for future in working:
            future.result(PATIENCE)
    assert not crew.wrong
    assert crew.workers >= {0, 1, 2}
    for key, order in crew.order.items():
        assert key.startswith("nobody") or order == sorted(order)


def fetch(subscription: Subscription, count: int) -> list[Delivery]:
    """So many, or what there is when patience is over."""
    got: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(got) < count and time.monotonic() < deadline:
        got += subscription.receive(count - len(got), 0.2)
    return got


@pytest.mark.parametrize("lanes", [0, 1])
def test_what_was_acknowledged_never_comes_again(node: RabbitNode, lanes: int) -> None:
    """Whoever closes right after hundreds of scattered acknowledgements gives back the others, and in order."""
    for _ in range(5):
        queue = f"lanes-{uuid4().hex}"
        with RabbitBroker(node.url(options="?prefetch=1000")) as broker:
            broker.declare(QueueSpec(queue, lanes=lanes))
            broker.publish(queue, [Message.of(n, key="k") for n in range(400)])
            with broker.subscribe(queue) as first:
                for delivery in fetch(first, 400)[-2::-2]:
                    first.acknowledge([delivery])
            with broker.subscribe(queue) as second:
                again = [decode(one.headers, one.body).data for one in fetch(second, 200)]
            assert (
                list(range(1, 400, 2)) == again
            )  # the last is one of them: an acknowledged one would have come


def test_who_knows_another_number_of_lanes(node: RabbitNode) -> None:
    """A publisher that remembers a queue's former lanes reaches no wrong lane, and looks again."""
    queue = f"lanes-{uuid4().hex}"
    with RabbitBroker(node.url()) as stale, RabbitBroker(node.url()) as fresh:
        stale.declare(QueueSpec(queue, lanes=4))
        with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
            raw.channel().exchange_delete(f"tickrelay:{queue}")
        fresh.declare(QueueSpec(queue, lanes=3))
        with pytest.raises(PublishUnconfirmed, match="no group"):
            stale.publish(queue, [Message.of(1, id="m1")])
        stale.publish(queue, [Message.of(1, id="m1")])
        with pytest.raises(QueueMismatch, match="exists with 3 lanes"):
            stale.declare(QueueSpec(queue, lanes=4))


def test_an_unfinished_declaration_is_finished(node: RabbitNode) -> None:
    """A process that dies while it declares leaves nothing that declaring again doesn't mend."""
    queue = f"lanes-{uuid4().hex}"
    with RabbitBroker(node.url()) as broker:
        broker.declare(QueueSpec(queue, lanes=5))
        with pika.BlockingConnection(pika.URLParameters(node.url())) as raw:
            for name in ("lanes", "lanes:4"):
                raw.channel().exchange_delete(f"tickrelay:{queue}:{name}")
            raw.channel().queue_delete(f"tickrelay:{queue}:default")
    with RabbitBroker(node.url()) as broker:
        broker.declare(QueueSpec(queue, lanes=5))
        assert [QueueSpec(queue, lanes=5)] == broker.queues()
        broker.publish(queue, [Message.of(1)])
