# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ours: one piece of code for every broker."""

from __future__ import annotations

from functools import cache
from itertools import islice

from bench.brokers.material import BATCH, SOURCE, messages, payload
from bench.brokers.worker import Clock
from bench.report import timed
from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.message import Message

PUBLISHED, RECEIVED = "ours-published", "ours-received"
STREAMED = "ours-streamed"
CHUNK = 1_000
"""As the operator's."""
PATIENCE = 60.0
EXTENSIONS = {
    "dagid": "bench_ours",
    "runid": "manual__2026-01-01T00:00:00.000000+00:00",
    "taskid": "publish",
    "mapindex": "-1",
    "batchid": f"{'0' * 36}/1",
    "ledgerid": "0" * 36,
    "digest": ":" + "0" * 32,
}
"""As many and as long as those of a task's messages."""


@cache
def _broker(url: str, queue: str) -> Broker:
    broker = open_broker(url)
    broker.declare(QueueSpec(queue))
    return broker


def publish(url: str, number: int) -> float:
    """All in one call, which returns when the last is confirmed."""
    broker, sent = _broker(url, PUBLISHED), messages(number)
    seconds = timed(lambda: broker.publish(PUBLISHED, sent, timeout=PATIENCE))
    broker.purge(PUBLISHED)
    return seconds


def publish_streamed(url: str, number: int) -> float:
    """What an Airflow task does, without Airflow: a generator's payloads, a thousand at a time, as many headers."""
    broker, payloads = _broker(url, STREAMED), (payload(n) for n in range(number))

    def work() -> None:
        while chunk := [
            Message.of(one, source=SOURCE, extensions=EXTENSIONS) for one in islice(payloads, CHUNK)
        ]:
            broker.publish(STREAMED, chunk, timeout=PATIENCE)

    seconds = timed(work)
    broker.purge(STREAMED)
    return seconds


def receive(url: str, number: int) -> float:
    """In batches, each acknowledged before the next is asked for."""
    broker = _broker(url, RECEIVED)
    fill(url, RECEIVED, number)
    clock = Clock()
    with broker.subscribe(RECEIVED) as subscription:
        while clock.count < number:
            deliveries = subscription.receive(BATCH, PATIENCE)
            clock.add(len(deliveries))
            for delivery in deliveries:
                assert delivery.headers["ce_id"] if "ce_id" in delivery.headers else delivery.headers["ce-id"]
            subscription.acknowledge(deliveries)
        return clock.seconds()


def fill(url: str, queue: str, number: int) -> None:
    """Declare a queue of ours and put messages on it, for whoever is going to receive them."""
    _broker(url, queue).publish(queue, messages(number), timeout=PATIENCE)
