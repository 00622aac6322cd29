# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Stopping: what runs may end, what hasn't begun is given back, and it takes a bounded time."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import pytest
from consumer_lab import QUEUE, Lab, end, locked, until

from tickrelay_consumer import Context, Message


@pytest.mark.parametrize("effect", ["external", "transaction"])
def test_sigterm_ends_gracefully(lab: Lab, effect: str) -> None:
    """The running handlers end and count, the prefetched messages go back at no attempt's cost, and none is lost."""
    worker = lab.spawn_ready(effects=[effect], slow=0.3, limits={"batch": 8, "prefetch": 16})
    ids = lab.publish_many(16)
    until((lab.folder / "begun").read_text, "one has begun")
    began = time.monotonic()

    assert 0 == end(worker)
    assert time.monotonic() - began < 5

    done = lab.effects()
    assert 0 < len(done) < 16
    assert len(done) == lab.done(effect)
    assert 16 - len(done) == lab.on_queue()[0] + lab.stats(effect).waiting
    until(lambda: lab.ledger.history.consumers() == [], "it has left")

    lab.spawn_ready(effects=[effect])
    until(lambda: lab.done(effect) == 16, "the rest")
    assert Counter(ids) == Counter(lab.effects())
    stats = lab.stats(effect)
    assert (0, 0, 0) == (stats.retried, stats.crashes, stats.died)


def test_what_was_parked_and_prefetched_is_released_too(lab: Lab) -> None:
    """A retry taken from the ledger and not begun goes back to waiting, without a crash or an attempt."""
    consumer = lab.consumer(workers=1)
    free = threading.Event()
    attempts: list[tuple[object, int]] = []

    @consumer.handler(QUEUE)
    def take(message: Message, ctx: Context) -> None:
        attempts.append((message.data, ctx.attempt))
        free.wait(10)

    lab.publish_many(10)
    with lab.running(consumer) as running:
        until(lambda: attempts, "the first runs")
        threading.Timer(0.3, free.set).start()
        assert 0 == running.stop()
    stats = lab.stats("take")
    assert (1, 0) == (stats.done, stats.claimed)
    assert 9 == stats.waiting + lab.on_queue()[0]

    again = lab.consumer()
    again.handler(QUEUE, name="take")(take)
    with lab.running(again):
        until(lambda: lab.done("take") == 10, "the rest")
    assert [(number, 1) for number in range(10)] == sorted(attempts)


def test_a_delivery_released_by_one_handler_stays_on_the_queue(lab: Lab) -> None:
    """Two handlers, one done and one not begun when it stops: the message comes again, for the second one only."""
    consumer = lab.consumer(workers=1)
    seen: Counter[str] = Counter()
    begun, free = threading.Event(), threading.Event()

    @consumer.handler(QUEUE, effect="transaction")
    def quick(message: Message, ctx: Context) -> None:
        seen["quick"] += 1

    @consumer.handler(QUEUE)
    def slow(message: Message, ctx: Context) -> None:
        begun.set()
        free.wait(10)
        seen["slow"] += 1

    lab.publish_many(5)
    with lab.running(consumer) as running:
        until(lambda: lab.done("quick") == 5 and begun.is_set(), "the quick ones")
        threading.Timer(0.2, free.set).start()
        running.stop()
    assert Counter(quick=5, slow=1) == seen

    again = lab.consumer()
    for handler in consumer.handlers:
        again.handler(QUEUE, effect=handler.effect)(handler.function)
    with lab.running(again):
        until(lab.is_idle, "idle")
    assert Counter(quick=5, slow=5) == seen


def test_the_grace_is_bounded(lab: Lab) -> None:
    """A handler that doesn't end is left behind after `limits.grace`, and its message is not lost."""
    worker = lab.spawn_ready(effects=["external"], slow=60, limits={"grace": 0.5})
    lab.publish_many(1)
    until((lab.folder / "begun").read_text, "it has begun")
    began = time.monotonic()

    assert 0 == end(worker)
    assert time.monotonic() - began < 5
    lab.spawn_ready(effects=["external"])
    until(lambda: lab.done("external") == 1, "by the next")


def test_the_second_signal_ends_at_once(lab: Lab) -> None:
    """Whoever sends SIGTERM twice doesn't wait for the grace; what ran is carried out again later."""
    worker = lab.spawn_ready(effects=["transaction"], slow=60)
    lab.publish_many(3)
    until((lab.folder / "begun").read_text, "it has begun")
    worker.send_signal(signal.SIGTERM)
    until(lambda: "stopping" in (lab.folder / "log").read_text(), "the first was heard")
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)

    assert 128 + signal.SIGTERM == worker.wait(5)
    assert time.monotonic() - began < 1
    lab.spawn_ready()
    until(lambda: lab.done("transaction") == 3, "by the next")
    assert 3 == len(lab.effects())


@pytest.mark.usefixtures("impatient")
def test_it_stops_in_bounded_time_with_the_ledger_locked(lab: Lab) -> None:
    """Neither hangs nor raises when nothing can be written down any more; what it had comes again."""
    consumer = lab.consumer(grace=1.0)
    free = threading.Event()
    begun = threading.Event()

    @consumer.handler(QUEUE)
    def take(message: Message, ctx: Context) -> None:
        begun.set()
        free.wait(10)

    lab.publish_many(2)
    with lab.running(consumer) as running:
        until(begun.is_set, "it has begun")
        with locked(lab.ledger_file):
            free.set()
            began = time.monotonic()
            assert 0 == running.stop(60)
            print(f"stopped in {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure for who runs it with -s
            assert time.monotonic() - began < 15
    again = lab.consumer()
    again.handler(QUEUE, name="take")(lambda message, ctx: None)
    with lab.running(again):
        until(lambda: lab.done("take") == 2, "by the next")
