# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A circuit breaker in a whole consumer: fetching pauses, nothing is spent, and in the end everything is done."""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from functools import partial

import pytest
from consumer_lab import QUEUE, Lab, metric
from consumer_lab import until as until_within
from sqlalchemy import text

from tickrelay_consumer import Context, Message, Retry
from tickrelay_consumer.breaker import Breaker, CircuitOpen
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging.errors import DeadLetter

until = partial(until_within, within=60)
ONCE = Retry(attempts=0)
QUICK = Retry(first=0.02, factor=1, attempts=3)


MODULE = """
import asyncio, os
from pathlib import Path
from tickrelay_consumer import Consumer, Retry
from tickrelay_consumer.breaker import Breaker
from tickrelay_consumer.middlewares import Around
from contextlib import contextmanager

folder, mode = Path(os.environ["BREAKING_FOLDER"]), os.environ["BREAKING_MODE"]


class Note(Around):
    @contextmanager
    def around(self, message, ctx):
        with open(folder / "seen", "a") as file:
            file.write("around ")
        yield


consumer = Consumer(middlewares=[Note()])
breaker = Breaker(failures=3, within=30, open_for=0.3)


def ask():
    if not (folder / "up").exists():
        raise ConnectionError("down")


def plain(message, ctx):
    ask()


async def waiting(message, ctx):
    await asyncio.sleep(0)
    ask()


take = plain if mode == "process" else waiting
consumer.handler("orders", name="take", mode=mode, breaker=breaker, retry=Retry(first=0.02, factor=1))(take)
"""
"""The outage, in a module that a child process can import."""


class Service:
    """The other side of a handler, up or down, and who asked it."""

    def __init__(self, *, up: bool = True) -> None:
        self.up = threading.Event()
        self.calls: list[tuple[str, int]] = []
        if up:
            self.up.set()

    def ask(self, message: Message, ctx: Context) -> None:
        self.calls.append((message.id, ctx.attempt))
        if not self.up.is_set():
            raise ConnectionError("down")


def state(consumer: object, handler: str = "take") -> float:
    return metric(consumer, "tickrelay_consumer_breaker_state", queue=QUEUE, handler=handler)  # type: ignore[arg-type]


def test_an_outage_costs_no_attempts(lab: Lab) -> None:
    """Five failures open it, the rest stays on the queue, failed probes cost nothing, and then all of it is done."""
    consumer = lab.consumer(workers=2, batch=16, prefetch=32)
    service = Service(up=False)
    breaker = Breaker(failures=5, within=30, open_for=0.2)
    consumer.handler(QUEUE, name="take", breaker=breaker, retry=QUICK)(service.ask)
    lab.publish_many(400)
    with lab.running(consumer):
        until(lambda: state(consumer) == 2, "open")
        until(lambda: len(service.calls) > 12, "some probes failed")
        called = len(service.calls)
        assert lab.on_queue()[0] >= 400 - 32 - called, "what wasn't in hand stayed on the queue"
        service.up.set()
        until(lambda: lab.done("take") == 400, "all done")
        assert 0 == state(consumer)
    assert [] == lab.dead()
    assert max(attempt for _, attempt in service.calls) <= 3


def test_while_open_nothing_is_called(lab: Lab) -> None:
    """Neither new messages nor what is due: the handler isn't called at all until the breaker lets a probe through."""
    consumer = lab.consumer(workers=1)
    service = Service(up=False)
    consumer.handler(
        QUEUE, name="take", retry=QUICK, breaker=Breaker(failures=2, within=30, open_for=600, share=0)
    )(service.ask)
    lab.publish_many(50)
    with lab.running(consumer) as running:
        until(lambda: state(consumer) == 2, "open")
        until(lambda: metric(consumer, "tickrelay_consumer_in_hand") == 0, "given back")
        called = len(service.calls)
        time.sleep(0.5)  # long after the retries of the first two are due
        assert (called, 2) == (len(service.calls), called)
        assert 48 == sum(lab.on_queue()) + lab.stats("take").waiting - 2
        assert 0 == running.stop()


def test_a_message_may_say_that_the_other_side_is_down(lab: Lab) -> None:
    """`CircuitOpen` opens at once and costs nothing, not even the last attempt."""
    consumer = lab.consumer(workers=1)
    seen: list[int] = []

    @consumer.handler(QUEUE, retry=ONCE, breaker=Breaker(open_for=0.1))
    def take(message: Message, ctx: Context) -> None:
        seen.append(ctx.attempt)
        if len(seen) < 4:
            raise CircuitOpen("maintenance until noon")

    lab.publish(Message.of(1))
    with lab.running(consumer):
        until(lambda: lab.done("take") == 1, "done")
    assert [1, 1, 1, 1] == seen


def test_bad_messages_do_not_open_it(lab: Lab) -> None:
    """A dead letter is the message's fault, so the others go on."""
    consumer = lab.consumer(workers=1)

    @consumer.handler(QUEUE, retry=ONCE, breaker=Breaker(failures=1, open_for=600, share=0))
    def take(message: Message, ctx: Context) -> None:
        if message.data < 10:
            raise DeadLetter("no")

    lab.publish_many(30)
    with lab.running(consumer):
        until(lambda: lab.done("take") == 20, "the good ones")
        assert 0 == state(consumer)
    assert 10 == len(lab.dead())


def test_the_queue_waits_as_a_whole(lab: Lab) -> None:
    """A message is taken for all handlers of its queue, so the other one waits too; and both have every effect once."""
    consumer = lab.consumer(workers=2, batch=8, prefetch=16)
    service = Service(up=False)
    others: Counter[str] = Counter()
    consumer.handler(QUEUE, name="take", retry=QUICK, breaker=Breaker(failures=3, open_for=0.2))(service.ask)

    @consumer.handler(QUEUE)
    def other(message: Message, ctx: Context) -> None:
        others[message.id] += 1

    lab.publish_many(100)
    with lab.running(consumer):
        until(lambda: state(consumer) == 2, "open")
        assert len(others) < 100
        service.up.set()
        until(lambda: lab.done("take") == lab.done("other") == 100, "all done")
        until(lab.is_idle, "acknowledged")
    assert (100, {1}) == (len(others), set(others.values()))


def test_a_transaction_is_given_back_whole(lab: Lab) -> None:
    """`transaction` handlers pause alike: every row is there once in the end."""
    consumer = lab.consumer()
    service = Service(up=False)
    insert = text("INSERT INTO effects (handler, id) VALUES ('take', :id)")

    @consumer.handler(QUEUE, effect="transaction", retry=QUICK, breaker=Breaker(failures=3, open_for=0.2))
    def take(message: Message, ctx: Context) -> None:
        ctx.connection.execute(insert, {"id": message.id})
        service.ask(message, ctx)

    ids = lab.publish_many(100)
    with lab.running(consumer):
        until(lambda: state(consumer) == 2, "open")
        until(lambda: len(service.calls) > 6, "a probe failed")
        service.up.set()
        until(lambda: lab.done("take") == 100, "all done")
    assert sorted(ids) == sorted(lab.effects("take"))
    assert [] == lab.dead()


@pytest.mark.parametrize("mode", ["process", "asyncio"])
def test_other_modes_pause_alike(lab: Lab, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Middlewares run where the handler runs, the breaker here: an outage ends with every message done."""
    (lab.folder / f"breaking_{mode}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(lab.folder))
    monkeypatch.setenv("BREAKING_FOLDER", str(lab.folder))
    monkeypatch.setenv("BREAKING_MODE", mode)

    consumer = importlib.import_module(f"breaking_{mode}").consumer
    consumer.configure(**lab.urls, limits=Limits(workers=2, batch=16, prefetch=32))
    lab.publish_many(60)
    with lab.running(consumer):
        until(lambda: state(consumer) == 2, "open")
        (lab.folder / "up").touch()
        until(lambda: lab.done("take") == 60, "all done")
    assert [] == lab.dead()
    seen = (lab.folder / "seen").read_text().split()
    assert set(seen) == {"around"}
    assert len(seen) >= 60
