# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Lanes of a Redis queue beyond the contract: fair shares, broken connections, strangers, statistics."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Lock

import pytest
import redis
from tests.services.redis import (
    PATIENCE,
    STREAM,
    RedisServer,
    ids_of,
    messages,
    take,
    wait_for,
    waiting_clients,
    with_orders,
)

from tickrelay_messaging.brokers import Broker, Delivery, QueueSpec, Subscription
from tickrelay_messaging.brokers.lanes import lane_of
from tickrelay_messaging.errors import BrokerUnavailable, ServiceError, UnknownQueue
from tickrelay_messaging.message import Message

LANES = 4


@pytest.fixture
def broker(server: RedisServer, bare: redis.Redis) -> Iterator[Broker]:
    """A broker with the queue `orders` of four lanes."""
    with with_orders(server.url(), lanes=LANES) as broker:
        yield broker


def keyed(start: int, end: int, keys: int = 20) -> list[Message]:
    return [Message.of(n, id=f"{n % keys}-{n}", key=f"k{n % keys}") for n in range(start, end)]


def in_order(names: list[str], keys: int = 20) -> bool:
    """Whether the messages of each key come in the order they were published."""
    of_key = [
        [int(name.partition("-")[2]) for name in names if name.startswith(f"{k}-")] for k in range(keys)
    ]
    return all(numbers == sorted(numbers) for numbers in of_key)


def test_a_busy_consumer_leaves_others_their_share(broker: Broker) -> None:
    """Who always has something of every lane unfinished gets no more of half of them once a second one asks."""
    broker.publish("orders", keyed(0, 2000))
    with broker.subscribe("orders") as greedy, broker.subscribe("orders") as modest:
        held = take(greedy, 200)
        got: list[str] = []
        deadline = time.monotonic() + PATIENCE
        while not got:
            assert time.monotonic() < deadline
            got = ids_of(modest.receive(50))
            more = greedy.receive(50)
            greedy.acknowledge(held[:50])
            held = held[50:] + more
        assert not _lanes_of(got) & _lanes_of(ids_of(held))


def _lanes_of(names: list[str]) -> set[int]:
    by_name = {message.id: lane_of(message, LANES) for message in keyed(0, 2000)}
    return {by_name[name] for name in names}


def test_the_lane_of_who_only_listens_is_free(broker: Broker) -> None:
    """A consumer that stays but asks for nothing for a while doesn't keep others from its share."""
    with broker.subscribe("orders") as idle, broker.subscribe("orders") as busy:
        assert [] == idle.receive(1)
        broker.publish("orders", keyed(0, 100))
        got: list[str] = []
        deadline = time.monotonic() + PATIENCE
        while len(got) < 100:
            assert time.monotonic() < deadline
            deliveries = busy.receive(100, 1)
            busy.acknowledge(deliveries)
            got += ids_of(deliveries)
        assert in_order(got)


def test_keys_keep_their_order_through_everything(
    server: RedisServer, broker: Broker, bare: redis.Redis
) -> None:
    """Consumers come and go, connections break, messages flow: each key's effects are in order, none missing."""
    count, lock, done = 1500, Lock(), Event()
    finished: dict[str, None] = {}

    def consume(seed: int) -> None:
        dice = random.Random(seed)
        while not done.is_set():
            with suppress(BrokerUnavailable), broker.subscribe("orders") as subscription:
                _work(subscription, dice, finished, lock)

    def strike() -> None:
        while not done.wait(0.15):
            bare.client_kill_filter(_type="normal", skipme=True)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(consume, seed) for seed in range(3)] + [pool.submit(strike)]
        try:
            for start in range(0, count, 300):
                _publish_surely(broker, keyed(start, start + 300))
            wait_for(lambda: len(finished) >= count)
        finally:
            done.set()
        for one in running:
            one.result(PATIENCE)
    assert {m.id for m in keyed(0, count)} == set(finished)
    assert in_order(list(finished))


def _work(subscription: Subscription, dice: random.Random, finished: dict[str, None], lock: Lock) -> None:
    """Some rounds of receiving, and of finishing some of what is held, always from the front."""
    held: list[Delivery] = []
    for _ in range(dice.randint(1, 12)):
        held += subscription.receive(dice.randint(1, 100), 0.05)
        part = dice.randint(0, len(held))
        with lock:  # an effect that comes again keeps its first place, as it does with a ledger
            finished.update(dict.fromkeys(ids_of(held[:part])))
        subscription.acknowledge(held[:part])
        held = held[part:]


def _publish_surely(broker: Broker, batch: list[Message]) -> None:
    """One by one, since a batch published again in part would itself be out of order."""
    for message in batch:
        while True:
            try:
                broker.publish("orders", [message])
                break
            except ServiceError:  # unconfirmed or unavailable
                continue


def test_a_waiting_consumer_sleeps(broker: Broker, bare: redis.Redis) -> None:
    """Waiting asks nothing of the server, and other programs' messages end it too."""
    with broker.subscribe("orders") as subscription, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(subscription.receive, 1, None)
        wait_for(lambda: waiting_clients(bare))
        bare.xadd(STREAM, {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "shell", "ce_type": "t"})
        assert ["7"] == ids_of(waiting.result(PATIENCE))


def test_statistics_count_what_was_set_aside_as_ready(broker: Broker, bare: redis.Redis) -> None:
    """Set aside is not handed out: statistics, peek and purge say so, and it comes unmarked."""
    broker.publish("orders", keyed(0, 100))
    with broker.subscribe("orders") as first, broker.subscribe("orders") as second:
        assert 10 == len(take(first, 10))
        got = second.receive(100, 1)
        (stats,) = broker.stats("orders")
        assert (100, 10 + len(got), 2) == (
            stats.ready + (stats.in_flight or 0), stats.in_flight, stats.consumers
        )  # fmt: skip
        assert 10 + len(got) == sum(peeked.in_flight for peeked in broker.peek("orders", limit=200))
        assert not any(delivery.redelivered for delivery in got)
        assert stats.ready == broker.purge("orders")
        assert 10 + len(got) == len(broker.peek("orders", limit=200))


def test_what_a_stranger_took_comes_back_in_its_lane(broker: Broker, bare: redis.Redis) -> None:
    """Who reads with a bare client and goes away counts as dead, and each message returns to its own lane."""
    broker.publish("orders", keyed(0, 40))
    bare.xreadgroup("default", "stranger", {STREAM: ">"}, count=20)
    with broker.subscribe("orders") as subscription:
        assert {m.id for m in keyed(0, 40)} == set(ids_of(take(subscription, 40)))
        assert (0, 40) == _counts(broker)


def _counts(broker: Broker) -> tuple[int, int | None]:
    (stats,) = broker.stats("orders")
    return stats.ready, stats.in_flight


def test_nothing_is_left_of_a_queue_worked_off(broker: Broker, bare: redis.Redis) -> None:
    """All acknowledged: the stream is empty, no lane is owned, nothing is set aside."""
    broker.publish("orders", [*keyed(0, 500), *messages(500)])
    with broker.subscribe("orders") as first, broker.subscribe("orders") as second:
        left = 1000
        while left:
            for one in (first, second):
                deliveries = one.receive(100, 0.05)
                one.acknowledge(deliveries)
                left -= len(deliveries)
    assert 0 == bare.xlen(STREAM)
    assert {b"lanes": b"4"} == bare.hgetall(f"{STREAM}:settings")
    assert not bare.exists(f"{STREAM}:owners:default", f"{STREAM}:asking:default")


def test_a_forgotten_groups_consumer_leaves_nothing(broker: Broker, bare: redis.Redis) -> None:
    """A consumer that goes on asking for a group that is gone hears so, and doesn't bring its keys back."""
    broker.declare(QueueSpec("orders", ("default", "audit")))
    broker.publish("orders", keyed(0, 40))
    with broker.subscribe("orders", "audit") as orphan:
        take(orphan, 20)
        broker.forget("orders", "audit")
        for _ in range(2):
            with pytest.raises(UnknownQueue):
                orphan.receive(1)
    assert not [key for key in bare.keys("*") if key.endswith(b":audit")]
