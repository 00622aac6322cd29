# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The good path: what is published is carried out, and acknowledged when everybody is through with it."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from consumer_lab import QUEUE, Lab, end, metric, until
from sqlalchemy import text

from tickrelay_consumer import Context, Message

INSERT = text("INSERT INTO effects (handler, id) VALUES ('transaction', :id)")


@pytest.mark.parametrize("effect", ["external", "transaction"])
def test_every_message_is_carried_out_once(lab: Lab, effect: str) -> None:
    """Each message meets its handler once, then it is off the queue and done in the ledger."""
    consumer = lab.consumer()
    seen: list[tuple[str, object]] = []

    @consumer.handler(QUEUE, effect=effect)
    def take(message: Message, ctx: Context) -> None:
        seen.append((message.id, message.data))
        assert (1, "take", QUEUE) == (ctx.attempt, ctx.route.handler, ctx.route.queue)

    with lab.running(consumer):
        ids = lab.publish_many(600)
        until(lambda: lab.done("take") == 600, "all done")

    assert sorted(zip(ids, range(600), strict=True)) == sorted(seen)
    assert (0, 0) == lab.on_queue()
    assert 600 == metric(
        consumer,
        "tickrelay_consumer_settled_total",
        queue=QUEUE,
        group="default",
        handler="take",
        verdict="done",
    )


def test_a_failed_transaction_leaves_nothing_and_its_neighbours_stay(lab: Lab) -> None:
    """A handler that raises after it wrote: its row isn't there, its neighbours' are, though they share a commit."""
    consumer = lab.consumer()

    @consumer.handler(QUEUE, effect="transaction")
    def insert(message: Message, ctx: Context) -> None:
        ctx.connection.execute(INSERT, {"id": message.id})
        if message.data == 3 and ctx.attempt == 1:
            raise ValueError("three")

    ids = lab.publish_many(7)
    with lab.running(consumer):
        until(lambda: lab.done("insert") == 6, "the others")
        assert set(ids) - {ids[3]} == set(lab.effects())
        until(lambda: lab.done("insert") == 7, "its retry")

    assert Counter(ids) == Counter(lab.effects())


def test_a_message_is_acknowledged_when_the_last_handler_is_done(lab: Lab) -> None:
    """Two handlers on one queue: what one of them hasn't done stays on the queue; then each has had everything once."""
    consumer = lab.consumer()
    seen: Counter[tuple[str, str]] = Counter()
    free = threading.Event()

    @consumer.handler(QUEUE)
    def quick(message: Message, ctx: Context) -> None:
        seen["quick", message.id] += 1

    @consumer.handler(QUEUE)
    def slow(message: Message, ctx: Context) -> None:
        free.wait(10)
        seen["slow", message.id] += 1

    ids = lab.publish_many(3)
    with lab.running(consumer):
        until(lambda: lab.done("quick") == 3, "the quick handler")
        assert (0, 3) == lab.on_queue()
        free.set()
        until(lab.is_idle, "idle")

    assert Counter((name, id_) for name in ("quick", "slow") for id_ in ids) == seen


def test_one_of_two_handlers_fails(lab: Lab) -> None:
    """A handler's failure is its own: the other isn't called again, and the message is off the queue."""
    consumer = lab.consumer()
    seen: Counter[str] = Counter()

    @consumer.handler(QUEUE, effect="transaction")
    def good(message: Message, ctx: Context) -> None:
        seen["good"] += 1

    @consumer.handler(QUEUE)
    def bad(message: Message, ctx: Context) -> None:
        seen["bad"] += 1
        raise DeadLetterish

    lab.publish(Message.of(1))
    with lab.running(consumer):
        until(lambda: lab.stats("bad").waiting == 1, "waits for its retry")
        until(lambda: lab.on_queue() == (0, 0), "acknowledged, as the ledger has it now")

    assert Counter(good=1, bad=1) == seen


def test_a_message_known_as_done_is_dropped(lab: Lab) -> None:
    """The same id published again is acknowledged without the handler, also in one batch with its first coming."""
    consumer = lab.consumer()
    seen: list[str] = []
    consumer.handler(QUEUE, name="take")(lambda message, ctx: seen.append(message.id))
    message = Message.of(1)
    lab.publish(message, message)
    with lab.running(consumer):
        until(lab.is_idle, "idle")
        lab.publish(message)
        until(lambda: lab.is_idle() and lab.stats("take").duplicates >= 1, "the duplicate")

    assert [message.id] == seen


def test_a_message_for_later_starts_on_its_instant(lab: Lab) -> None:
    """`deliver_at` is parked, off the queue, starts never early, and on its instant, not on a round of polling."""
    consumer = lab.consumer()
    late: list[float] = []

    @consumer.handler(QUEUE)
    def take(message: Message, ctx: Context) -> None:
        if message.deliver_at:
            late.append(time.time() - message.deliver_at.timestamp())

    with lab.running(consumer):
        lab.publish(Message.of("now"))  # a consumer takes a while to start in a process as large as this
        until(lambda: lab.stats("take").done == 1, "at work")
        now = datetime.now(UTC)
        soon = [Message.of(n, deliver_at=now + timedelta(seconds=0.7 + 0.15 * n)) for n in range(6)]
        lab.publish(*soon, Message.of("much later", deliver_at=now + timedelta(hours=1)))
        until(lambda: lab.on_queue() == (0, 0), "parked, or begun")
        until(lambda: len(late) == 6, "all that are for soon started")
        assert lab.stats("take").waiting == 1

    print("late by", " ".join(f"{1000 * seconds:.1f}" for seconds in late), "ms")  # noqa: T201 - a figure for who runs it with -s
    assert min(late) >= 0
    # The median: a machine that did something else for a moment delays one, polling would delay most.
    assert statistics.median(late) <= 0.1


def test_an_expired_message_is_recorded_and_not_carried_out(lab: Lab) -> None:
    """Past `expires` nobody wants it: not when it is received, and not when it waited too long."""
    consumer = lab.consumer()
    seen: list[object] = []
    consumer.handler(QUEUE, name="take")(lambda message, ctx: seen.append(message.data))
    now = datetime.now(UTC)
    soon = now + timedelta(seconds=0.4)
    lab.publish(
        Message.of("old", expires=now - timedelta(seconds=1)),
        Message.of("waits too long", deliver_at=soon, expires=soon),
        Message.of("good", expires=now + timedelta(hours=1)),
    )
    with lab.running(consumer):
        until(lambda: lab.stats("take").expired == 2 and lab.is_idle(), "two expired")

    assert ["good"] == seen


def test_two_consumers_share_a_queue(lab: Lab) -> None:
    """Two processes, one queue: everything is done, nothing twice, and both have had a share."""
    workers = [lab.spawn_ready(limits={"batch": 16, "prefetch": 16}) for _ in range(2)]
    ids = lab.publish_many(600)
    until(lambda: lab.done("transaction") == 600, "all done")

    assert Counter(ids) == Counter(lab.effects())
    assert [0, 0] == [end(worker) for worker in workers]


class DeadLetterish(Exception):
    """Some error of a handler's own."""
