# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Peers in Python, acknowledging after the work; none of them deduplicates. Each process first sends its share of the
messages and then works, as they have no queue that another's client could fill.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from bench.brokers.material import BATCH, payload
from bench.effects.effect import Effect

_NAME = "effects-peer"


def dramatiq(effect: Effect, url: str, processes: str = "1") -> None:
    """Eight threads, its default; lists on Redis, a classic queue on RabbitMQ."""
    import dramatiq as peer
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from dramatiq.brokers.redis import RedisBroker

    plain = url.partition("?")[0]
    make: Any = RedisBroker if url.startswith("redis") else RabbitmqBroker
    broker = make(url=plain)

    def work(_: dict[str, Any]) -> None:
        effect()

    actor: Any = peer.actor(work, broker=broker, actor_name=_NAME, queue_name=_NAME)
    for n in range(effect.number // int(processes)):
        actor.send(payload(n))
    peer.Worker(broker, worker_threads=8).start()


def celery(effect: Effect, url: str, processes: str = "1") -> None:
    """Its solo pool, the quickest for so little work, with `acks_late`; no results."""
    from celery import Celery

    app = Celery("bench", broker=url.partition("?")[0])
    app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=256)

    def work(_: dict[str, Any]) -> None:
        effect()

    task = app.task(work, name=_NAME)
    for n in range(effect.number // int(processes)):
        task.delay(payload(n))
    name = f"effects-{os.getpid()}@%h"
    quiet = ["--without-gossip", "--without-mingle", "--loglevel=CRITICAL"]
    app.worker_main(["worker", "--pool=solo", "-n", name, *quiet])


def taskiq(effect: Effect, url: str) -> None:
    """Redis Streams, acknowledged when executed."""
    asyncio.run(_taskiq(effect, url.partition("?")[0]))


async def _taskiq(effect: Effect, url: str) -> None:
    from taskiq.acks import AcknowledgeType
    from taskiq.api import run_receiver_task
    from taskiq_redis import RedisStreamBroker

    broker = RedisStreamBroker(url, consumer_id="0", xread_count=BATCH)

    @broker.task(task_name=_NAME)
    async def work(_: dict[str, Any]) -> None:
        effect()

    await broker.startup()
    for n in range(effect.number):
        await work.kiq(payload(n))
    await run_receiver_task(broker, ack_time=AcknowledgeType.WHEN_EXECUTED)


def faststream_redis(effect: Effect, url: str) -> None:
    """Redis Streams, read up to 500 at once, an XACK each."""
    from faststream.redis import StreamSub

    from bench.brokers.peer_faststream import _fill_redis, _redis

    asyncio.run(_fill_redis(url, _NAME, effect.number))
    broker = _redis(url)
    stream = StreamSub(_NAME, group="effects", consumer="me", last_id="0", max_records=BATCH)
    asyncio.run(_faststream(effect, broker, broker.subscriber(stream=stream)))


def faststream_kafka(effect: Effect, url: str) -> None:
    """A commit each."""
    from faststream import AckPolicy

    from bench.brokers.on_kafka import fill
    from bench.brokers.peer_faststream import _kafka

    fill(url, _NAME, effect.number)
    broker = _kafka(url)
    settings = {"auto_offset_reset": "earliest", "ack_policy": AckPolicy.NACK_ON_ERROR}
    asyncio.run(_faststream(effect, broker, broker.subscriber(_NAME, group_id="effects", **settings)))


async def _faststream(effect: Effect, broker: Any, subscriber: Any) -> None:
    @subscriber
    async def work(_: dict[str, Any]) -> None:
        effect()

    async with broker:
        await broker.start()
        await asyncio.Event().wait()
