# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the Redis broker does when the server, the network or the disk fails."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
import redis
from tests.services.redis import (
    PATIENCE,
    STREAM,
    RedisServer,
    ids_of,
    messages,
    running_server,
    take,
    wait_for,
    waiting_clients,
    with_orders,
)

from tickrelay_messaging.brokers import Broker, QueueSpec, Subscription, open_broker
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    PublishUnconfirmed,
    ServiceError,
    UnknownQueue,
)
from tickrelay_messaging.message import Message


def test_a_killed_server_loses_nothing_confirmed(tmp_path: Path) -> None:
    """SIGKILL between publish and receive: all that was confirmed comes, through the same broker and subscription."""
    with running_server(tmp_path) as server, open_broker(server.url()) as broker:
        broker.declare(QueueSpec("orders"))
        with broker.subscribe("orders") as subscription:
            broker.publish("orders", messages(3000))
            held = take(subscription, 10)
            server.server.restart()
            broker.publish("orders", [Message.of(0, id="after")])
            rest = take(subscription, 2991)
            assert [f"m{number}" for number in range(10, 3000)] + ["after"] == ids_of(rest)
            subscription.acknowledge(held + rest)
        (stats,) = broker.stats("orders")
        assert (0, 0) == (stats.ready, stats.in_flight)


def test_a_server_asleep_for_longer_than_the_lease_costs_nobody_messages(tmp_path: Path) -> None:
    """Nobody could prove to be alive meanwhile, so nobody counts as dead."""
    with running_server(tmp_path) as server, open_broker(server.url(lease=1)) as broker:
        broker.declare(QueueSpec("orders"))
        broker.publish("orders", messages(1))
        with broker.subscribe("orders") as owner, broker.subscribe("orders") as sibling:
            held = take(owner, 1)
            server.server.signal(signal.SIGSTOP)
            try:
                time.sleep(1.5)
            finally:
                server.server.signal(signal.SIGCONT)
            assert [] == sibling.receive(1, 0.7)
            owner.acknowledge(held)
        (stats,) = broker.stats("orders")
        assert 0 == stats.ready


def test_a_silent_server_ends_a_publish_at_its_deadline(tmp_path: Path) -> None:
    """The deadline is hard, and every message without a confirmation is named."""
    with running_server(tmp_path) as server, open_broker(server.url()) as broker:
        broker.declare(QueueSpec("orders"))
        server.server.signal(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(PublishUnconfirmed) as caught:
            broker.publish("orders", messages(1000), timeout=0.5)
        assert 0.4 < time.monotonic() - start < 3
        assert tuple(f"m{number}" for number in range(1000)) == caught.value.ids


def test_a_dropped_connection_is_made_anew(broker: Broker, bare: redis.Redis) -> None:
    """CLIENT KILL while a receive waits: that call or the next one carries on."""
    with broker.subscribe("orders") as subscription, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, subscription, 1)
        wait_for(lambda: waiting_clients(bare))
        for number in waiting_clients(bare):
            bare.client_kill_filter(_id=str(number))
        broker.publish("orders", messages(1))
        assert ["m0"] == ids_of(waiting.result(PATIENCE))


def test_what_a_broken_publish_confirmed_is_there(
    broker: Broker, server: RedisServer, bare: redis.Redis
) -> None:
    """Connections dropped again and again while publishing: what isn't named as unconfirmed is on the queue."""
    confirmed: set[str] = set()
    named = 0
    with ThreadPoolExecutor(1) as pool:
        done = False

        def strike() -> None:
            while not done:
                time.sleep(0.02)
                bare.client_kill_filter(_type="normal", skipme=True)

        striking = pool.submit(strike)
        for attempt in range(10):
            batch = [Message.of("x" * 200, id=f"{attempt}-{number}") for number in range(2000)]
            lost: set[str] = set()
            try:
                broker.publish("orders", batch)
            except PublishUnconfirmed as error:
                lost = set(error.ids)
            except BrokerUnavailable:
                lost = {message.id for message in batch}
            named += len(lost)
            confirmed |= {message.id for message in batch} - lost
        done = True
        striking.result(PATIENCE)
    assert named
    stored = [entry[1][b"ce_id"].decode() for entry in bare.xrange(STREAM)]
    assert confirmed <= set(stored)
    assert len(stored) == len(set(stored))


def test_messages_on_a_lost_answer_come_again(broker: Broker, bare: redis.Redis) -> None:
    """What the server handed out on a connection that broke, and was never heard of, isn't forgotten."""
    broker.publish("orders", messages(3))
    with broker.subscribe("orders") as subscription:
        held = take(subscription, 1)
        (member,) = (row["name"] for row in bare.xinfo_consumers(STREAM, "default"))
        bare.xreadgroup("default", member, {STREAM: ">"}, count=1)
        bare.client_kill_filter(_type="normal", skipme=True)
        assert {"m1": True, "m2": False} == {
            name: delivery.redelivered for delivery in take(subscription, 2) for name in ids_of([delivery])
        }
        subscription.acknowledge(held)


def test_a_flushed_server_is_noticed(broker: Broker, bare: redis.Redis) -> None:
    """After FLUSHALL nothing is stored where no group would get it; the queue must be declared again."""
    with broker.subscribe("orders") as subscription:
        bare.flushall()
        for call in (lambda: broker.publish("orders", messages(1)), lambda: subscription.receive(1)):
            with pytest.raises(UnknownQueue):
                call()
        broker.declare(QueueSpec("orders"))
        broker.publish("orders", messages(1))
        assert ["m0"] == ids_of(take(subscription, 1))


def test_a_server_killed_again_and_again_under_load(tmp_path: Path) -> None:
    """Three SIGKILLs while many threads publish and consume: whatever was confirmed is received."""
    confirmed: set[str] = set()
    received: set[str] = set()
    over = Event()
    with (
        running_server(tmp_path) as server,
        with_orders(server.url()) as broker,
        ThreadPoolExecutor(4) as pool,
    ):

        def publish(thread: int) -> None:
            number = 0
            while not over.is_set():
                batch = [Message.of(0, id=f"{thread}-{n}") for n in range(number, number + 50)]
                number += 50
                try:
                    broker.publish("orders", batch, timeout=5)
                except PublishUnconfirmed as error:
                    confirmed.update({message.id for message in batch} - set(error.ids))
                except ServiceError:
                    continue
                else:
                    confirmed.update(message.id for message in batch)

        publishing = [pool.submit(publish, thread) for thread in range(2)]
        with broker.subscribe("orders") as subscription:
            for _ in range(3):
                _receive_until(subscription, received, len(received) + 500)
                server.server.restart()
            over.set()
            for one in publishing:
                one.result(PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while not confirmed <= received:
                assert time.monotonic() < deadline, sorted(confirmed - received)[:10]
                _receive_until(subscription, received, 0)


def _receive_until(subscription: Subscription, received: set[str], count: int) -> None:
    """Receive and acknowledge at least once, and until so many are known."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(BrokerUnavailable):
            deliveries = subscription.receive(200, 0.2)
            received.update(ids_of(deliveries))
            subscription.acknowledge(deliveries)
        if len(received) >= count:
            return
        assert time.monotonic() < deadline
