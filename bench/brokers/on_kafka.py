# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The bare loops of confluent-kafka, on topics of 8 partitions like ours."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is its documented name

from bench.brokers.material import BATCH, headers, messages
from bench.brokers.worker import Clock
from bench.report import timed

PARTITIONS = 8
MANY = 10_000
"""Messages between two looks at what failed."""
PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "delivery.report.only.error": True,  # the least a loop can ask for; `flush` says when the rest is confirmed
    # As much room as the longest round needs: a loop that runs into a full queue has to stop and poll.
    "queue.buffering.max.messages": 1_000_000,
}
CONSUMER = {
    "group.id": "bare",
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "fetch.queue.backoff.ms": 10,  # as ours: by default it looks a second later whether there is room again
}


def publish(url: str, number: int) -> float:
    """Idempotent, acks=all."""
    return fill(url, "bare-published", number)


def receive(url: str, number: int) -> float:
    """`consume` and an asynchronous commit for each batch."""
    fill(url, "bare-received", number)
    clock, consumer = Clock(), Consumer({"bootstrap.servers": _servers(url), **CONSUMER})
    consumer.subscribe(["bare-received"])
    while clock.count < number:
        batch: list[Any] = consumer.consume(BATCH, 1.0)
        if not batch:
            continue
        clock.add(len(batch))
        for message in batch:
            carried = {name: value.decode() for name, value in message.headers()}
            assert carried["ce_id"]
            assert message.value()
        consumer.commit(asynchronous=True)
    seconds = clock.seconds()
    consumer.close()
    return seconds


def fill(url: str, topic: str, number: int) -> float:
    """Put messages on a topic, made if need be."""
    _declare(url, topic)
    producer, sent = _producer(url), messages(number)
    failed: list[object] = []

    def report(error: Any, _: object) -> None:
        failed.append(error)

    def work() -> None:
        produce = producer.produce
        for index, message in enumerate(sent):
            carried: Any = headers(message)  # the stub wants a dict that may hold None
            produce(topic, message.body, on_delivery=report, headers=carried)
            if not index % MANY:
                producer.poll(0)
        producer.flush()

    seconds = timed(work)
    assert not failed
    return seconds


@cache
def _declare(url: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": _servers(url)})  # kept until the answer is there
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)


@cache
def _producer(url: str) -> Producer:
    return Producer({"bootstrap.servers": _servers(url), **PRODUCER})


def _servers(url: str) -> str:
    return urlsplit(url).netloc
