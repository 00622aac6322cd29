# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A whole consumer whose ledger is in Redis, until somebody flushes that."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.services.redis import RedisServer, running_server, wait_for

from tickrelay_consumer import Consumer, Context, Retry
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.errors import RetryLater
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.message import Message

PATIENCE = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """The test's own, since its flush reaches everybody."""
    with running_server(tmp_path / "redis") as server:
        yield server


def test_a_flush_stops_consumption(server: RedisServer, tmp_path: Path) -> None:
    """Before it every message has its effect once; after it none, nothing is acknowledged, and the loss is told."""
    urls = {"broker": f"sqlite:///{tmp_path / 'queue.db'}", "ledger": f"redis://127.0.0.1:{server.port}/0"}
    seen: Counter[str] = Counter()
    consumer = Consumer(**urls, limits=Limits(lease=1.5))

    @consumer.handler("orders", effect="external")
    def count(message: Message, ctx: Context) -> None:
        seen[message.id] += 1
        if message.id == "later":
            raise RetryLater(3600)

    code: list[int] = []
    thread = threading.Thread(target=lambda: code.append(consumer.run(signals=False)), daemon=True)
    with (
        open_broker(urls["broker"]) as broker,
        open_ledger(urls["ledger"]) as ledger,
        server.client() as bare,
        capture_logs() as lines,
    ):
        broker.declare(QueueSpec("orders"))
        broker.publish(
            "orders", [*(Message.of(n, id=f"m{n}") for n in range(300)), Message.of(0, id="later")]
        )
        thread.start()
        wait_for(lambda: [(s.done, s.waiting) for s in ledger.history.stats()] == [(300, 1)])
        assert {1} == set(seen.values())
        wait_for(lambda: broker.stats("orders")[0].in_flight == 0)
        bare.flushall()
        broker.publish("orders", [Message.of(0, id="after")])
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert [1] == code
        assert seen["after"] == 0
        (stats,) = broker.stats("orders")
        assert stats.ready + (stats.in_flight or 0) == 1
        assert 0 == bare.dbsize()
    told = str(lines)
    assert f"ledger {ledger.id} is gone" in told
    assert "orders/default/count: 1 waiting, 0 dead letters" in told


def test_commands_and_done_mark_are_one(server: RedisServer, tmp_path: Path) -> None:
    """`effect="redis"`: what an attempt that failed wanted written isn't, what the good one did is there once."""
    urls = {"broker": f"sqlite:///{tmp_path / 'queue.db'}", "ledger": f"redis://127.0.0.1:{server.port}/0"}
    consumer = Consumer(**urls)

    @consumer.handler("orders", effect="redis", retry=Retry(first=0.01))
    def count(message: Message, ctx: Context) -> None:
        ctx.redis("INCRBY", "sold", message.data)
        ctx.redis("HSET", "orders", message.id, b"\xff\x00")
        if ctx.attempt == 1:
            raise ValueError("again")

    thread = threading.Thread(target=lambda: consumer.run(signals=False), daemon=True)
    with open_broker(urls["broker"]) as broker, server.client() as bare:
        broker.declare(QueueSpec("orders"))
        messages = [Message.of(number) for number in range(1, 21)]
        broker.publish("orders", [*messages, *messages[:5]])
        thread.start()
        wait_for(lambda: bare.hlen("orders") == 20)
        consumer.stop()
        thread.join(PATIENCE)
        assert b"210" == bare.get("sold")
        assert {b"\xff\x00"} == set(bare.hgetall("orders").values())
