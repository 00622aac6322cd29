# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Handlers that hang: a thread can't be ended, but nobody else waits for it for ever."""

from __future__ import annotations

import threading
import time

import pytest
from consumer_lab import QUEUE, Lab, metric, total, until
from sqlalchemy import text

from tickrelay_consumer import Context, Message, Retry

INSERT = text("INSERT INTO effects (handler, id) VALUES (:handler, :id)")
ONCE = Retry(first=0.05, factor=1, attempts=1)


def test_a_hanging_external_handler_is_given_up(lab: Lab) -> None:
    """Its message is retried and then dead, the others go on with one worker, and a gauge tells of stuck threads."""
    consumer = lab.consumer(workers=1)
    free = threading.Event()
    seen: list[object] = []

    @consumer.handler(QUEUE, timeout=0.3, retry=ONCE)
    def take(message: Message, ctx: Context) -> None:
        if message.data == "hang":
            free.wait(20)
        seen.append(message.data)

    lab.publish(Message.of(1), Message.of("hang"), *(Message.of(n) for n in range(2, 50)))
    with lab.running(consumer):
        until(lambda: lab.done("take") == 49, "its neighbours")
        (dead,) = until(lab.dead, "a dead letter")
        assert 2 == metric(consumer, "tickrelay_consumer_stuck_handlers")
        free.set()
        until(lambda: metric(consumer, "tickrelay_consumer_stuck_handlers") == 0, "they came back")
        until(lambda: metric(consumer, "tickrelay_consumer_in_hand") == 0, "nothing in hand")

    assert ("HandlerTimeout" in dead.error, 2) == (True, dead.attempts)
    assert 2 == total(consumer, "tickrelay_consumer_timeouts_total")
    assert 49 == lab.done("take")


def test_what_lies_behind_a_slow_message_goes_to_other_threads(lab: Lab) -> None:
    """Quick works dealt in one chunk with a slow one don't wait for it, and those done before it are settled."""
    consumer = lab.consumer(workers=2)
    free = threading.Event()

    @consumer.handler(QUEUE, timeout=20)
    def take(message: Message, ctx: Context) -> None:
        if message.data == "slow":
            free.wait(20)

    with lab.running(consumer):
        lab.publish_many(500)  # it learns that this handler is quick, so that chunks become long
        until(lambda: lab.done("take") == 500, "learnt")
        lab.publish(
            *(Message.of(n) for n in range(20)), Message.of("slow"), *(Message.of(n) for n in range(20))
        )
        until(lambda: lab.done("take") == 540, "all but the slow one", within=5)
        free.set()
        until(lambda: lab.done("take") == 541, "the slow one")


def test_a_hanging_transaction_is_undone(lab: Lab) -> None:
    """Its writes, also the late ones, never appear; its neighbours run again and have one effect each."""
    consumer = lab.consumer(
        lease=2.0
    )  # shorter than the hang: renewing needs the lock that the hung transaction has
    free = threading.Event()
    late: list[str] = []

    @consumer.handler(QUEUE, effect="transaction", timeout=1.5, retry=Retry(attempts=0))
    def insert(message: Message, ctx: Context) -> None:
        row = {"handler": "transaction", "id": message.id}
        ctx.connection.execute(INSERT, row)
        if message.data == "hang":
            free.wait(20)
            try:
                ctx.connection.execute(INSERT, {**row, "handler": "late"})
            finally:
                late.append("tried")

    ids = lab.publish(Message.of(1), Message.of("hang"), Message.of(2))
    with lab.running(consumer):
        until(lambda: lab.done("insert") == 2, "its neighbours", within=6)
        (dead,) = until(lab.dead, "a dead letter")
        free.set()
        until(lambda: late, "the late write")
        lab.publish(Message.of(3))
        until(lambda: lab.done("insert") == 3, "who comes later")
        until(lambda: metric(consumer, "tickrelay_consumer_stuck_handlers") == 0, "it came back")

    assert ids[1] == dead.message_id
    assert [] == lab.effects("late")
    assert {ids[0], ids[2]} < set(lab.effects())
    assert ids[1] not in lab.effects()
    assert 3 == len(lab.effects())


@pytest.mark.parametrize("effect", ["external", "transaction"])
def test_a_consumer_with_too_many_stuck_handlers_gives_up(lab: Lab, effect: str) -> None:
    """At `limits.stuck` it ends with exit code 1, for its supervisor to start it afresh; nothing is lost."""
    consumer = lab.consumer(stuck=2, grace=5.0)
    free = threading.Event()

    @consumer.handler(QUEUE, effect=effect, timeout=0.2)
    def hang(message: Message, ctx: Context) -> None:
        free.wait(30)

    ids = lab.publish_many(3)
    with lab.running(consumer) as running:
        running.thread.join(15)
        began = time.monotonic()
        assert not running.thread.is_alive()
        assert 1 == running.code
        free.set()

    stats = lab.stats("hang")
    ready, in_flight = lab.on_queue()
    assert time.monotonic() - began < 2
    assert len(ids) <= stats.waiting + ready + in_flight
    assert 0 == stats.claimed
