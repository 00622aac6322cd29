# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Connected but deaf: a subscription that brings nothing although messages wait for it is found out and replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from consumer_lab import Running, metric, until
from tests.services.behind_proxy import behind_proxy

from tickrelay_consumer import Consumer, Context
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging.brokers import Delivery, GroupStats, QueueSpec, Subscription, open_broker
from tickrelay_messaging.brokers.memory import MemoryBroker
from tickrelay_messaging.message import Message

PATIENCE = 60.0
QUEUE = "orders"


class Deaf(Subscription):
    """A member of the group that is never given anything, and doesn't know it."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        self._woken.wait(timeout)
        self._woken.clear()
        return []

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None: ...

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self.wake()


class DeafBroker(MemoryBroker):
    """Its first subscriptions are deaf; counts how often it is asked for its numbers."""

    def __init__(self, deaf: int) -> None:
        super().__init__()
        self.deaf = deaf
        self.looks = 0

    def subscribe(self, queue: str, group: str = "default") -> Subscription:
        self.deaf -= 1
        return Deaf() if self.deaf >= 0 else super().subscribe(queue, group)

    def stats(self, queue: str) -> list[GroupStats]:
        self.looks += 1
        return super().stats(queue)


@contextmanager
def consuming(
    broker: str | MemoryBroker, folder: Path, **limits: float
) -> Iterator[tuple[Running, list[str]]]:
    """A consumer at work, and the ids of what it carried out."""
    done: list[str] = []
    consumer = Consumer(broker, f"sqlite:///{folder}/ledger.db", limits=Limits(**limits))  # type: ignore[arg-type]

    @consumer.handler(QUEUE)
    def work(message: Message, ctx: Context) -> None:
        done.append(message.id)

    running = Running(consumer)
    running.thread.start()
    try:
        yield running, done
    finally:
        running.stop(PATIENCE)


def cures(running: Running) -> float:
    return metric(running.consumer, "tickrelay_consumer_deaf_total", queue=QUEUE, group="default")


def messages(count: int, prefix: str = "m") -> list[Message]:
    return [Message.of(number, id=f"{prefix}{number}", key=f"k{number % 7}") for number in range(count)]


def test_a_deaf_subscription_is_replaced(tmp_path: Path) -> None:
    """Two in a row bring nothing; the third brings everything, and both cures were counted."""
    broker = DeafBroker(2)
    broker.declare(QueueSpec(QUEUE))
    broker.publish(QUEUE, messages(50))
    with consuming(broker, tmp_path, deaf_after=0.2) as (running, done):
        until(lambda: len(done) == 50, "all carried out", PATIENCE)
        assert 2 == cures(running)
    assert 50 == len(set(done))


def test_a_consumer_that_cannot_be_cured_gives_up(tmp_path: Path) -> None:
    """After so many new connections without a message the process ends with 1, for its supervisor to start afresh."""
    broker = DeafBroker(100)
    broker.declare(QueueSpec(QUEUE))
    broker.publish(QUEUE, messages(1))
    with consuming(broker, tmp_path, deaf_after=0.1, cures=2) as (running, _):
        until(lambda: running.code is not None, "it gives up", PATIENCE)
        assert (1, 2) == (running.code, cures(running))


def test_an_empty_queue_is_no_deafness(tmp_path: Path) -> None:
    """However often it looks: where nothing waits, nothing is replaced; and it looks twice a `deaf_after` at most."""
    broker = DeafBroker(1)
    broker.declare(QueueSpec(QUEUE))
    with consuming(broker, tmp_path, deaf_after=0.2) as (running, _):
        begun = time.monotonic()
        until(lambda: broker.looks >= 10, "ten looks", PATIENCE)
        assert time.monotonic() - begun > 0.8
        assert 0 == cures(running)


def test_a_look_that_fails_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a broker's numbers raise, bugs included: the consumer works on."""
    broker = DeafBroker(0)
    broker.declare(QueueSpec(QUEUE))
    asked = threading.Semaphore(0)

    def stats(queue: str) -> list[GroupStats]:
        asked.release()
        raise RuntimeError("a bug in a driver")

    monkeypatch.setattr(broker, "stats", stats)
    with consuming(broker, tmp_path, deaf_after=0.1) as (_, done):
        assert all(asked.acquire(timeout=PATIENCE) for _ in range(2))
        broker.publish(QUEUE, messages(5))
        until(lambda: len(done) == 5, "it works on", PATIENCE)


def test_lanes_that_others_hold_are_no_deafness(tmp_path: Path) -> None:
    """Messages wait in lanes of a consumer that is slow; the idle one beside it keeps its subscription."""
    broker = DeafBroker(0)
    broker.declare(QueueSpec(QUEUE, lanes=2))
    with broker.subscribe(QUEUE) as slow:
        broker.publish(QUEUE, messages(20))
        assert slow.receive(20)
        broker.publish(QUEUE, messages(20, "later"))
        with consuming(broker, tmp_path, deaf_after=0.2) as (running, done):
            until(lambda: broker.looks >= 10, "ten looks", PATIENCE)
            assert (0, []) == (cures(running), done)


def test_what_a_busy_group_takes_is_no_deafness(tmp_path: Path) -> None:
    """Others take messages between two looks: the queue moves, so a consumer that got none isn't deaf."""
    broker = DeafBroker(1)
    broker.declare(QueueSpec(QUEUE))
    broker.publish(QUEUE, messages(1000))
    stop = threading.Event()

    def nibble() -> None:
        with MemoryBroker.subscribe(broker, QUEUE) as other:
            while not stop.wait(0.01):
                other.acknowledge(other.receive(1))

    broker.deaf = 2  # the one of the consumer, not that of the other
    taking = threading.Thread(target=nibble)
    with consuming(broker, tmp_path, deaf_after=0.2) as (running, _):
        taking.start()
        try:
            until(lambda: broker.looks >= 10, "ten looks", PATIENCE)
            assert 0 == cures(running)
        finally:
            stop.set()
            taking.join(PATIENCE)


OPTIONS = {
    "redis": "lease=3&timeout=2",
    "rabbitmq": "heartbeat=300&prefetch=10",
    "kafka": "session.timeout.ms=3000&heartbeat.interval.ms=300",
}
AHEAD = {"rabbitmq": 10}
"""How many messages a server may have pushed into the hole."""


@pytest.mark.chaos
@pytest.mark.parametrize("server", OPTIONS)
def test_a_connection_into_a_black_hole_is_replaced(server: str, tmp_path: Path) -> None:
    """
    Its connections stay open and carry nothing more: what is published behind its back arrives after the cure.

    What RabbitMQ had pushed into the hole by then, at most `prefetch`, comes when it notices (here: when the hole
    closes), not before.
    """
    with (
        behind_proxy(server, tmp_path / "server", OPTIONS[server]) as place,
        open_broker(place.url) as publisher,
    ):
        publisher.declare(QueueSpec(QUEUE))
        publisher.publish(QUEUE, messages(1, "first"))
        with consuming(place.url, tmp_path, deaf_after=2.0) as (running, done):
            until(lambda: done, "it works", PATIENCE)
            place.proxy.black_hole()
            with open_broker(place.url) as behind:
                behind.publish(QUEUE, messages(50))
            until(
                lambda: len(done) >= 51 - AHEAD.get(server, 0), "what was published behind its back", PATIENCE
            )
            assert cures(running) >= 1
            place.proxy.reset()
            until(lambda: len(done) == 51, "the rest", PATIENCE)
        assert 51 == len(set(done))
