# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker among processes that fork, die and forget: nothing is lost, stuck or left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.brokers.sqlite_lab import drain, some

from tickrelay_messaging.brokers import Delivery, QueueSpec, open_broker
from tickrelay_messaging.brokers.sqlite import SqliteBroker
from tickrelay_messaging.errors import (
    CallerError,
)
from tickrelay_messaging.testing._children import forked


def test_many_processes_may_open_a_new_file(path: Path) -> None:
    """Whoever comes first makes the file; the others wait, and all can publish."""

    def work(say: Callable[[], None]) -> None:
        with SqliteBroker(path) as broker:
            broker.declare(QueueSpec("q"))
            broker.publish("q", some(20))

    children = [forked(work) for _ in range(6)]
    entered = [child.__enter__() for child in children]
    assert [0] * 6 == [child.join() for child in entered]
    for child in children:
        child.__exit__(None, None, None)
    with SqliteBroker(path) as broker:
        assert 120 == broker.stats("q")[0].ready


def test_a_publisher_killed_at_any_moment_leaves_whole_batches(broker: SqliteBroker) -> None:
    """SIGKILL loses nothing that was confirmed, and no batch is on the queue in part."""

    def work(say: Callable[[], None]) -> None:
        while True:
            broker.publish("q", some(50))
            say()

    with forked(work) as child:
        for _ in range(5):
            child.wait_until_said()
        child.kill()
        confirmed = 5 + len(os.read(child.heard, 1 << 16))
    ready = broker.stats("q")[0].ready
    assert 0 == ready % 50
    assert confirmed * 50 <= ready <= (confirmed + 1) * 50


def test_room_is_used_again(broker: SqliteBroker, path: Path) -> None:
    """Messages every group has acknowledged leave their room to later ones, so the file doesn't grow."""
    with broker.subscribe("q") as subscription:
        for _ in range(5):
            broker.publish("q", some(1000, 500))
            assert 1000 == len(drain(subscription))
    with broker._store.read() as db:
        assert 0 == db.execute("SELECT count(*) FROM messages").fetchone()[0]
        assert 300 > db.execute("PRAGMA page_count").fetchone()[0]


def test_a_message_goes_when_its_last_group_has_done(broker: SqliteBroker) -> None:
    """With several groups a row stays until none needs it, in whatever order they acknowledge."""
    broker.declare(QueueSpec("q", ("a", "b")))
    broker.publish("q", some(4))

    def left() -> list[str]:
        return [peeked.position for peeked in broker.peek("q")]

    held: list[list[Delivery]] = []
    with broker.subscribe("q", "a") as a, broker.subscribe("q", "b") as b:
        held = [a.receive(4), b.receive(3)]
        a.acknowledge([held[0][3], held[0][1]])
        b.acknowledge(held[1][1:])
        broker.purge("q", "default")
        assert ["1", "3", "4"] == left()
        a.acknowledge(held[0])
        assert ["1", "4"] == left()
        b.acknowledge(held[1])
        assert ["4"] == left()
        assert 1 == broker.purge("q", "b")
        assert [] == left()


def test_a_consumer_taken_for_dead_joins_again(broker: SqliteBroker) -> None:
    """A live consumer whose bell was taken away has lost what it held, but goes on receiving."""
    broker.publish("q", some(2))
    with broker.subscribe("q") as robbed:
        held = robbed.receive(1)
        for bell in (broker._bells / "q").iterdir():
            bell.unlink()
        with broker.subscribe("q") as other:
            assert ["1", "2"] == [delivery.position for delivery in other.receive(5)]
            robbed.acknowledge(held)
            broker.publish("q", some(1))
            assert ["3"] == [delivery.position for delivery in robbed.receive(5, 10)]
        assert ["1", "2"] == [delivery.position for delivery in robbed.receive(5, 10)]


def test_a_child_does_not_keep_its_parents_seat(path: Path) -> None:
    """A forked child that outlives its parent doesn't make the dead parent's subscription look alive."""
    with SqliteBroker(path) as broker:
        broker.declare(QueueSpec("q"))
        broker.publish("q", some(1))

        def parent(say: Callable[[], None]) -> None:
            with SqliteBroker(path) as own:
                subscription = own.subscribe("q")
                subscription.receive(1, 10)
                if os.fork() == 0:
                    say()
                    time.sleep(5)
                    os._exit(0)
                signal.pause()

        with forked(parent) as child:
            child.wait_until_said()
            child.kill()
            with broker.subscribe("q") as survivor:
                assert [True] == [delivery.redelivered for delivery in survivor.receive(1, 3)]


def test_a_subscription_belongs_to_its_process(broker: SqliteBroker) -> None:
    """A child may not use or close its parent's subscription; it subscribes anew."""
    broker.publish("q", some(1))
    with broker.subscribe("q") as subscription:
        held = subscription.receive(1)

        def work(say: Callable[[], None]) -> None:
            with pytest.raises(CallerError, match="subscribe anew"):
                subscription.receive(1)
            subscription.close()
            with broker.subscribe("q") as own:
                assert [] == own.receive(1)

        with forked(work) as child:
            assert 0 == child.join()
        subscription.acknowledge(held)
    assert (0, 0) == (broker.stats("q")[0].ready, broker.stats("q")[0].in_flight)


def test_forking_beside_busy_threads(broker: SqliteBroker) -> None:
    """Forks while other threads are in the middle of transactions neither hang nor harm."""

    def publish() -> None:
        for _ in range(100):
            broker.publish("q", some(5))

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(publish) for _ in range(2)]
        for _ in range(5):
            with forked(lambda say: broker.publish("q", some(5))) as child:
                assert 0 == child.join()
        for future in busy:
            future.result(30)
    assert 1025 == broker.stats("q")[0].ready
    with broker._store.read() as db:
        assert "ok" == db.execute("PRAGMA integrity_check").fetchone()[0]


def test_an_idle_consumer_sleeps(broker: SqliteBroker) -> None:
    """A consumer that waits uses no processor time to speak of."""
    with broker.subscribe("q") as subscription:
        before = time.thread_time()
        assert [] == subscription.receive(1, 1.0)
        assert 0.01 > time.thread_time() - before


def test_unreadable_headers_block_nothing(broker: SqliteBroker) -> None:
    """A row whose headers are damaged is delivered without any, and the others as they are."""
    broker.publish("q", some(3))
    with broker._store.write() as db:
        db.execute("UPDATE messages SET headers = '{\"broken' WHERE position & 255 = 2")
    with broker.subscribe("q") as subscription:
        assert ["m0", None, "m2"] == [delivery.headers.get("ce_id") for delivery in subscription.receive(3)]


def test_a_closed_broker_says_so(path: Path) -> None:
    """Using a broker after close is the caller's mistake."""
    broker = open_broker(f"sqlite:///{path}")
    broker.close()
    with pytest.raises(CallerError, match="closed"):
        broker.publish("q", some(1))
