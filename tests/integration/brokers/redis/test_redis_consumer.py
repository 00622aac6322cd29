# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A consumer on Redis Streams with an SQLite ledger: from publish to effect, through retries and a killed server."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.services.redis import STREAM, RedisServer, running_server

from tickrelay_consumer import Consumer, Context, Retry
from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.errors import ServiceError
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter
from tickrelay_messaging.message import Message

PATIENCE = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of its own, since it is killed."""
    with running_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def broker(server: RedisServer) -> Iterator[Broker]:
    """The publisher's connection, with the queue `orders`."""
    with open_broker(server.url()) as broker:
        broker.declare(QueueSpec("orders"))
        yield broker


@contextmanager
def running(consumer: Consumer) -> Iterator[None]:
    """The consumer at work in a thread while the block lasts."""
    thread = threading.Thread(target=consumer.run, kwargs={"signals": False})
    thread.start()
    try:
        yield
    finally:
        consumer.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def settled(broker: Broker) -> bool:
    """Whether nothing is ready or in flight."""
    try:
        return all((row.ready, row.in_flight) == (0, 0) for row in broker.stats("orders"))
    except ServiceError:
        return False


def messages(start: int, end: int) -> list[Message]:
    return [Message.of({"number": number}, id=f"m{number}") for number in range(start, end)]


def test_each_message_has_its_effect_once(server: RedisServer, broker: Broker, tmp_path: Path) -> None:
    """Published twice and failing first, each message is carried out once, and nothing stays at the broker."""
    consumer = Consumer(broker=server.url(), ledger=f"sqlite:///{tmp_path}/ledger.db")
    effects: Counter[str] = Counter()
    failures: set[str] = set()

    @consumer.handler("orders", retry=Retry(first=0.05, attempts=3))
    def carry_out(message: Message, ctx: Context) -> None:
        if message.data["number"] % 50 == 0 and message.id not in failures:
            failures.add(message.id)
            raise RuntimeError("the first try fails")
        effects[message.id] += 1

    broker.publish("orders", messages(0, 500))
    broker.publish("orders", messages(0, 500))
    with running(consumer):
        wait_for(lambda: len(effects) == 500 and settled(broker))
    assert {1} == set(effects.values())
    with server.client() as bare:
        assert 0 == bare.xlen("tickrelay:{orders}")


def test_a_killed_server_is_survived(server: RedisServer, broker: Broker, tmp_path: Path) -> None:
    """SIGKILL to the server under load: what was confirmed is carried out, once, without a restart of the consumer."""
    consumer = Consumer(broker=server.url(), ledger=f"sqlite:///{tmp_path}/ledger.db")
    effects: Counter[str] = Counter()

    @consumer.handler("orders")
    def carry_out(message: Message, ctx: Context) -> None:
        effects[message.id] += 1

    with running(consumer):
        broker.publish("orders", messages(0, 1000))
        wait_for(lambda: effects)
        server.server.restart()
        broker.publish("orders", messages(1000, 1100))
        wait_for(lambda: len(effects) == 1100 and settled(broker))
    assert {1} == set(effects.values())


def test_what_others_left_on_the_stream_is_a_dead_letter(
    server: RedisServer, broker: Broker, tmp_path: Path
) -> None:
    """A body in no known text and an entry without our fields become dead letters, bytes kept, and block nothing."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    consumer = Consumer(broker=server.url(), ledger=url)
    effects: Counter[str] = Counter()

    @consumer.handler("orders")
    def carry_out(message: Message, ctx: Context) -> None:
        effects[str(message.data)] += 1

    event = {
        "ce_specversion": "1.0",
        "ce_source": "shell",
        "ce_type": "t",
        "content-type": "application/json",
    }
    foreign: list[dict[str, str | bytes]] = [
        {**event, "ce_id": "latin", "data": b'"caf\xe9"'},
        {"data": b"\xff\x00raw"},
        {"order": "7", "note": b"\xe9"},
    ]
    with server.client() as bare:
        for fields in foreign:
            bare.execute_command("XADD", STREAM, "*", *[part for pair in fields.items() for part in pair])
    broker.publish("orders", [Message.of("fine", id="behind them")])
    with running(consumer), open_ledger(url) as ledger:
        wait_for(lambda: effects and settled(broker))
        wait_for(lambda: len(ledger.dead_letters.list(DeadFilter())) == 3)
        listed = ledger.dead_letters.list(DeadFilter())
        shown = [ledger.dead_letters.show(letter.number) for letter in listed]
    assert Counter({"fine": 1}) == effects
    assert [b'"caf\xe9"', b"\xff\x00raw", b'{"order": "7", "note": "\\\\xe9"}'] == [
        letter.body for letter in shown if letter
    ]
