# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How long a Redis queue keeps what was acknowledged, what a replay sees of it, and what ends with a group."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import redis
from tests.services.redis import (
    STREAM,
    RedisServer,
    ids_of,
    messages,
    take,
    wait_for,
    with_orders,
)

from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.errors import ConfigurationError, UnknownQueue
from tickrelay_messaging.message import Message

AGAIN = "default~r1"


@pytest.fixture
def broker(server: RedisServer, bare: redis.Redis) -> Iterator[Broker]:
    """A broker with the queue `orders`, which retains messages for an hour."""
    with with_orders(server.url(options="&retention=3600")) as broker:
        yield broker


def work_off(broker: Broker, count: int, group: str = "default") -> list[str]:
    """Receive and acknowledge so many; their positions."""
    with broker.subscribe("orders", group) as subscription:
        deliveries = take(subscription, count)
        subscription.acknowledge(deliveries)
    return [delivery.position for delivery in deliveries]


def test_only_what_is_acknowledged_and_past_retention_goes(broker: Broker, server: RedisServer) -> None:
    """Retained messages stay; with a shorter retention they go, and what a group still needs stays all the same."""
    broker.declare(QueueSpec("orders", ("default", "audit")))
    broker.publish("orders", messages(3000))
    work_off(broker, 3000)
    work_off(broker, 1500, "audit")
    with server.client() as bare, open_broker(server.url(options="&retention=0.05")) as short:
        assert 3000 == bare.xlen(STREAM)
        short.declare(QueueSpec("orders"))
        with short.subscribe("orders"):  # whoever lives there cleans up
            wait_for(lambda: bare.xlen(STREAM) == 1500)
        work_off(broker, 1500, "audit")
        with short.subscribe("orders"):
            wait_for(lambda: bare.xlen(STREAM) == 0)


def test_retained_messages_are_not_on_the_queue(broker: Broker, bare: redis.Redis) -> None:
    """Statistics, peek and purge know nothing of messages that are only kept for a replay."""
    broker.publish("orders", messages(10))
    work_off(broker, 10)
    (stats,) = broker.stats("orders")
    assert (0, 0, None, 10) == (stats.ready, stats.in_flight, stats.oldest_age, stats.published)
    assert [] == broker.peek("orders")
    assert 0 == broker.purge("orders")
    assert 10 == bare.xlen(STREAM)


def test_a_declaration_without_retention_changes_none(server: RedisServer, broker: Broker) -> None:
    """Who declares the queue by a URL that says nothing leaves its retention, and may replay."""
    broker.publish("orders", messages(3))
    work_off(broker, 3)
    with open_broker(server.url()) as other:
        other.declare(QueueSpec("orders"))
        other.replay("orders", AGAIN)
        assert 3 == len(work_off(other, 3, AGAIN))


def test_without_retention_a_replay_is_refused(server: RedisServer, bare: redis.Redis) -> None:
    """Nothing acknowledged is kept, so a replay would mislead; the error says what to declare."""
    with with_orders(server.url()) as broker:
        assert not broker.capabilities.replay
        broker.publish("orders", messages(3))
        work_off(broker, 3)
        wait_for(lambda: bare.xlen(STREAM) == 0)
        with pytest.raises(ConfigurationError, match="retention"):
            broker.replay("orders", AGAIN)


def test_a_replay_knows_its_lag(broker: Broker, bare: redis.Redis) -> None:
    """From the start, from a position or from behind what was trimmed: ready counts what the replay will bring."""
    broker.publish("orders", messages(1300))
    positions = work_off(broker, 1300)
    broker.replay("orders", "default~all")
    broker.replay("orders", "default~behind", after=positions[700])
    bare.xtrim(STREAM, minid=positions[100], approximate=False)
    broker.replay("orders", "default~later", after=positions[900])
    broker.replay("orders", "default~never", since=4e9)
    ready = {row.group: row.ready for row in broker.stats("orders")}
    assert {"default~behind": 599, "default~later": 399, "default~never": 0} == {
        name: ready[name] for name in ("default~behind", "default~later", "default~never")
    }
    assert positions[701:] == work_off(broker, 599, "default~behind")
    broker.publish("orders", messages(1))
    assert 400 == {row.group: row.ready for row in broker.stats("orders")}["default~later"]


def test_a_replay_of_lanes_keeps_their_order(server: RedisServer, bare: redis.Redis) -> None:
    """A queue with lanes replays too, each key in its order."""
    with with_orders(server.url(options="&retention=60"), lanes=3) as broker:
        broker.publish("orders", [Message.of(n, id=f"m{n}", key=f"k{n % 5}") for n in range(200)])
        positions = work_off(broker, 200)
        broker.replay("orders", AGAIN, after=sorted(positions, key=_place)[99])
        with broker.subscribe("orders", AGAIN) as subscription:
            got = ids_of(take(subscription, 100))
    for key in range(5):
        assert [f"m{n}" for n in range(100, 200) if n % 5 == key] == [
            name for name in got if int(name[1:]) % 5 == key
        ]


def _place(position: str) -> tuple[int, int]:
    first, _, second = position.partition("-")
    return int(first), int(second)


@pytest.mark.parametrize("since", [math.nan, math.inf])
def test_an_instant_is_one(broker: Broker, since: float) -> None:
    """A start that is no instant is refused."""
    with pytest.raises(ConfigurationError, match="since"):
        broker.replay("orders", AGAIN, since=since)


def test_a_forgotten_group_frees_its_messages(server: RedisServer, bare: redis.Redis) -> None:
    """Entries that only the forgotten group still needed go at once, and so does all that was kept for it."""
    with with_orders(server.url()) as broker:
        broker.declare(QueueSpec("orders", ("default", "audit")))
        broker.publish("orders", messages(100))
        work_off(broker, 60)
        with broker.subscribe("orders", "audit") as orphan:
            take(orphan, 10)
            broker.forget("orders", "audit")
            assert 40 == bare.xlen(STREAM)
            with pytest.raises(UnknownQueue):
                orphan.receive(1)
        assert not [key for key in bare.keys("*") if key.endswith(b":audit")]


def test_a_queue_goes_with_its_last_group(broker: Broker, bare: redis.Redis) -> None:
    """Without groups nobody could ever get a message, so publishing is refused and nothing is left behind."""
    broker.publish("orders", messages(3))
    broker.forget("orders", "default")
    with pytest.raises(UnknownQueue, match="orders"):
        broker.publish("orders", messages(1))
    assert [] == broker.queues()
    assert [] == bare.keys("*")
