# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dramatiq, which acknowledges after the work: on RabbitMQ with confirms (classic queues), and on Redis (lists)."""

from __future__ import annotations

from functools import cache
from threading import Event
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

from bench.brokers.material import payload
from bench.brokers.worker import Clock
from bench.report import timed

THREADS = 8
"""Its own default."""


def publish(url: str, number: int) -> float:
    """`send`, one by one: it has nothing else."""
    broker, actor = _actor(url, "published")
    seconds = timed(lambda: _send(actor, number))
    broker.flush_all()
    return seconds


def receive(url: str, number: int) -> float:
    """One process of eight threads."""
    broker, actor = _actor(url, "received")
    _send(actor, number)
    _counter.begin(number)
    worker = dramatiq.Worker(broker, worker_threads=THREADS)
    worker.start()
    _counter.ended.wait(60)
    seconds = _counter.clock.seconds()
    worker.stop()
    return seconds


def _send(actor: Any, number: int) -> None:
    for n in range(number):
        actor.send(payload(n))


class _Counter:
    def begin(self, number: int) -> None:
        self.clock, self.ended, self._number = Clock(), Event(), number

    def note(self, _: dict[str, object]) -> None:
        if self.clock.add(1) == self._number:  # under the interpreter's lock, near enough
            self.ended.set()


_counter = _Counter()


@cache
def _actor(url: str, name: str) -> tuple[Any, Any]:
    plain = url.partition("?")[0]
    if url.startswith("redis"):
        broker = RedisBroker(url=plain, namespace=f"dramatiq-{name}")
    else:
        broker = RabbitmqBroker(url=plain, confirm_delivery=True)
    return broker, dramatiq.actor(
        _counter.note, broker=broker, actor_name=name, queue_name=f"dramatiq-{name}"
    )
