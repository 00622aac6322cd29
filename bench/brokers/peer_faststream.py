# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""FastStream on Kafka (confluent-kafka) and Redis Streams, acknowledging after the work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from faststream import AckPolicy

from bench.brokers.material import BATCH, payload
from bench.brokers.on_kafka import fill
from bench.brokers.worker import Clock

PUBLISHED, RECEIVED = "faststream-published", "faststream-received"
Send = Callable[[Any, str, int], Awaitable[None]]


def publish_kafka(url: str, number: int) -> float:
    """Batches of 500; one by one it waits for each."""
    fill(url, PUBLISHED, 1)
    return asyncio.run(_publish(_kafka(url), _send_to_kafka, number))


def publish_redis(url: str, number: int) -> float:
    """XADD one by one: streams have no batches here."""
    return asyncio.run(_publish(_redis(url), _send_to_redis, number))


def receive_kafka(url: str, number: int) -> float:
    """One by one, a commit each."""
    fill(url, RECEIVED, number)
    broker = _kafka(url)
    settings = {
        "group_id": "faststream",
        "auto_offset_reset": "earliest",
        "ack_policy": AckPolicy.NACK_ON_ERROR,
    }
    return asyncio.run(_receive(broker, number, broker.subscriber(RECEIVED, **settings)))


def receive_redis(url: str, number: int) -> float:
    """One by one, an XACK each, after reading up to 500 at once."""
    from faststream.redis import StreamSub

    broker, name = _redis(url), f"{RECEIVED}-{uuid4().hex}"
    asyncio.run(_fill_redis(url, name, number))
    stream = StreamSub(name, group="faststream", consumer="me", last_id="0", max_records=BATCH)
    return asyncio.run(_receive(broker, number, broker.subscriber(stream=stream)))


async def _publish(broker: Any, send: Send, number: int) -> float:
    async with broker:
        await send(broker, PUBLISHED, 1)
        began = time.perf_counter()
        await send(broker, PUBLISHED, number)
        return time.perf_counter() - began


async def _receive(broker: Any, number: int, subscriber: Any) -> float:
    clock, ended = Clock(), asyncio.Event()

    @subscriber
    async def note(given: dict[str, Any]) -> None:
        assert given
        if clock.add(1) == number:
            ended.set()

    async with broker:
        await broker.start()
        await asyncio.wait_for(ended.wait(), 60)
        return clock.seconds()


async def _fill_redis(url: str, stream: str, number: int) -> None:
    async with _redis(url) as broker:
        await _send_to_redis(broker, stream, number)


async def _send_to_kafka(broker: Any, topic: str, number: int) -> None:
    for start in range(0, number, BATCH):
        await broker.publish_batch(
            *[payload(n) for n in range(start, min(number, start + BATCH))], topic=topic
        )


async def _send_to_redis(broker: Any, stream: str, number: int) -> None:
    for n in range(number):
        await broker.publish(payload(n), stream=stream)


def _kafka(url: str) -> Any:
    from faststream.confluent import KafkaBroker

    return KafkaBroker(
        url.partition("//")[2].partition("?")[0], acks="all", enable_idempotence=True, logger=None
    )


def _redis(url: str) -> Any:
    from faststream.redis import RedisBroker

    return RedisBroker(url.partition("?")[0], logger=None)
