# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The limits: the client's own loop on Redis Streams, and loops that also claim and complete in a hash of Redis."""

from __future__ import annotations

import json
from typing import Any

import redis
from confluent_kafka import Consumer

from bench.brokers.material import payload
from bench.brokers.on_kafka import fill
from bench.effects.effect import Effect

BATCH = 256
STREAM, GROUP, DONE = "bare", "bare", "bare-done"


def loop(effect: Effect, url: str) -> None:
    """Read, work, acknowledge; nothing is deduplicated."""
    _run(effect, url, claims=False)


def claiming(effect: Effect, url: str) -> None:
    """The same with a claim before the work and a done-mark behind it, a batch in one round trip each."""
    _run(effect, url, claims=True)


def claiming_kafka(effect: Effect, url: str, ledger: str) -> None:
    """Kafka's messages, claimed and completed in Redis; each batch's offsets are committed behind it."""
    fill(url, STREAM, effect.number)
    client: Any = redis.Redis.from_url(ledger)
    settings = {"group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": url.partition("//")[2].partition("?")[0], **settings})
    consumer.subscribe([STREAM])
    done = 0
    while done < effect.number:
        found = consumer.consume(BATCH, 0.05)  # a longer wait would count: it waits for the whole batch
        if not found:
            continue
        names = [f"{one.partition()}/{one.offset()}" for one in found]
        for one, is_mine in zip(found, _claim(client, names), strict=True):
            json.loads(one.value() or b"")
            if is_mine:
                effect()
        client.hset(DONE, mapping=dict.fromkeys(names, "d"))
        consumer.commit(asynchronous=True)
        done += len(found)


def _run(effect: Effect, url: str, *, claims: bool) -> None:
    client: Any = redis.Redis.from_url(url.partition("?")[0])
    _fill(client, effect.number)
    done = 0
    while done < effect.number:
        (_, entries), *_ = client.xreadgroup(GROUP, "me", {STREAM: ">"}, count=BATCH)
        names = [name for name, _ in entries]
        wanted = _claim(client, names) if claims else [True] * len(names)
        for (_, fields), is_mine in zip(entries, wanted, strict=True):
            json.loads(fields[b"body"])
            if is_mine:
                effect()
        _end(client, names, claims=claims)
        done += len(names)


def _fill(client: Any, number: int) -> None:
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    for start in range(0, number, BATCH):
        pipe = client.pipeline(transaction=False)
        for n in range(start, min(number, start + BATCH)):
            pipe.xadd(STREAM, {"id": str(n), "body": json.dumps(payload(n))})
        pipe.execute()


def _claim(client: Any, names: list[Any]) -> list[bool]:
    pipe = client.pipeline(transaction=True)
    for name in names:
        pipe.hsetnx(DONE, name, "c")
    return [bool(answer) for answer in pipe.execute()]


def _end(client: Any, names: list[Any], *, claims: bool) -> None:
    pipe = client.pipeline(transaction=True)
    if claims:
        pipe.hset(DONE, mapping=dict.fromkeys(names, "d"))
    pipe.xack(STREAM, GROUP, *names)
    pipe.execute()
