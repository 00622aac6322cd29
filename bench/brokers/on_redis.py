# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The bare loops of redis-py: pipelines of XADD, and XREADGROUP with a pipeline of XACK and XDEL."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import uuid4

import redis

from bench.brokers.material import BATCH, headers, messages
from bench.brokers.worker import Clock
from bench.report import timed


def publish(url: str, number: int) -> float:
    """Confirmed pipeline by pipeline; the answers are the ids."""
    client, sent = _client(url), messages(number)

    def work() -> None:
        for start in range(0, number, BATCH):
            with client.pipeline(transaction=False) as pipeline:
                for message in sent[start : start + BATCH]:
                    pipeline.xadd("bare-published", {**headers(message), "data": message.body})
                pipeline.execute()

    seconds = timed(work)
    client.delete("bare-published")
    return seconds


def receive(url: str, number: int) -> float:
    """A batch, its headers as text, and its end in one round trip."""
    client, clock, stream = _client(url), Clock(), f"bare-{uuid4().hex}"
    client.xgroup_create(stream, "bare", "0", mkstream=True)
    for start in range(0, number, BATCH):
        with client.pipeline(transaction=False) as pipeline:
            for message in messages(number)[start : start + BATCH]:
                pipeline.xadd(stream, {**headers(message), "data": message.body})
            pipeline.execute()
    while clock.count < number:
        ((_, rows),) = client.xreadgroup("bare", "me", {stream: ">"}, count=BATCH)
        clock.add(len(rows))
        for _, fields in rows:
            body = fields.pop(b"data")
            carried = {name.decode(): value.decode() for name, value in fields.items()}
            assert carried["ce_id"]
            assert body
        ids = [position for position, _ in rows]
        with client.pipeline(transaction=False) as pipeline:
            pipeline.xack(stream, "bare", *ids)
            pipeline.xdel(stream, *ids)
            pipeline.execute()
    seconds = clock.seconds()
    client.delete(stream)
    return seconds


@cache
def _client(url: str) -> Any:
    return redis.Redis.from_url(url.partition("?")[0], protocol=2)
