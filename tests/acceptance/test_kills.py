# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A consumer that is killed again and again while orders flow."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tickrelay_consumer.commands import run
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.ids import stable_id
from tickrelay_messaging.message import Message

KILLS = 200
RATE = 40
"""Orders a second."""
CONSUMER = "examples/orders/consumer.py:consumer"


class Publisher(threading.Thread):
    """Publishes orders at an even rate until told to stop; each of them is confirmed."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._broker = open_broker(url)
        self._broker.declare(QueueSpec("orders"))
        self._enough = threading.Event()
        self.published = 0

    def run(self) -> None:
        while not self._enough.wait(1 / RATE):
            number = self.published + 1
            data = {
                "order_id": number,
                "customer": "Ada",
                "amount_cents": 100,
                "created_at": datetime.now(UTC).isoformat(),
            }
            self._broker.publish("orders", [Message.of(data, id=stable_id("kills", number))])
            self.published = number

    def stop(self) -> None:
        self._enough.set()
        self.join(30)
        self._broker.close()


def rows(ledger) -> list[int]:
    """The orders that had an effect, one entry an effect."""
    try:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=30)) as database:
            return [row[0] for row in database.execute("SELECT order_id FROM order_effects")]
    except sqlite3.OperationalError:
        return []


@pytest.fixture
def consumers(project, monkeypatch):
    """
    Starts consumers that have nothing left to import: each is forked from a process that has imported everything, so
    that 200 of them take two minutes rather than five.
    """
    monkeypatch.chdir(project)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tickrelay_consumer.commands.consume", "tickrelay_consumer", "sqlalchemy"]
    )
    started = []

    def start(queue, ledger):
        command = ["consume", CONSUMER, "--broker", f"sqlite:///{queue}", "--ledger", f"sqlite:///{ledger}"]
        process = context.Process(target=run, args=(command,), daemon=True)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join(20)


@pytest.mark.chaos
@pytest.mark.timeout(420)
def test_a_consumer_killed_200_times_leaves_each_effect_once(tmp_path, consumers, eventually):
    """
    SIGKILL at a random moment while work is in hand, 200 times in a row: every order confirmed by the queue has its
    effect exactly once.
    """
    queue, ledger = tmp_path / "queue.db", tmp_path / "ledger.db"
    moment = random.Random(20_26)
    publisher = Publisher(f"sqlite:///{queue}")
    publisher.start()
    consumer = consumers(queue, ledger)
    for kill in range(KILLS):
        await_progress(ledger, kill)
        time.sleep(moment.uniform(0, 0.05))
        assert consumer.is_alive()
        consumer.kill()
        consumer.join(20)
        consumer = consumers(queue, ledger)
    publisher.stop()

    def every_order_has_its_effect():
        return len(set(rows(ledger))) == publisher.published

    eventually(every_order_has_its_effect, within=90)
    counts = Counter(rows(ledger))
    assert [] == [order for order in range(1, publisher.published + 1) if order not in counts]
    assert {} == {order: count for order, count in counts.items() if count > 1}


def await_progress(ledger, kill: int) -> None:
    """Until one more effect is there than now."""
    seen = len(rows(ledger))
    deadline = time.monotonic() + 60
    while len(rows(ledger)) == seen:
        assert time.monotonic() < deadline, f"no progress before kill {kill}"
        time.sleep(0.01)
