# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Key order, singletons, ambiguity, steps, the outbox and long handlers in whole consumers."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

import pytest
from consumer_lab import QUEUE, Lab
from consumer_lab import until as until_within
from sqlalchemy import text

from tickrelay_consumer import Consumer, Context, Message, Retry
from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import State

until = partial(until_within, within=60)
LANED = "laned"


@pytest.fixture
def laned(lab: Lab) -> Lab:
    """With a queue that has lanes."""
    lab.broker.declare(QueueSpec(LANED, lanes=4))
    return lab


def keyed(count: int, *keys: str) -> list[Message]:
    """Messages of these keys in turn, whose data is key and number."""
    return [replace(Message.of([key, number]), key=key) for number in range(count) for key in keys]


def test_a_key_keeps_its_order(laned: Lab) -> None:
    """Among two consumers with threads, and with failures in between: every key's effects are in their order."""
    effects: list[tuple[str, int]] = []
    failed: set[tuple[str, int]] = set()
    lock = threading.Lock()

    def consumer() -> Consumer:
        made = laned.consumer(workers=4)

        @made.handler(LANED, key_order="strict", retry=Retry(first=0.01, jitter=0))
        def take(message: Message, ctx: Context) -> None:
            key, number = message.data
            with lock:
                if number % 7 == 3 and (key, number) not in failed:
                    failed.add((key, number))
                    raise ValueError("once")
                effects.append((key, number))

        return made

    messages = keyed(30, "a", "b", "c")
    laned.publish(*messages[:45], queue=LANED)
    with laned.running(consumer()), laned.running(consumer()):
        laned.publish(*messages[45:], queue=LANED)
        until(lambda: laned.done("take") == 90, "all done")
    for key in "abc":
        assert list(range(30)) == [number for one, number in effects if one == key]
    assert len(failed) == 12


def test_key_order_needs_lanes(lab: Lab) -> None:
    """Else it couldn't be kept among several consumers; it's said how to make them, and nothing was begun."""
    consumer = lab.consumer()
    consumer.handler(QUEUE, key_order=True, name="take")(lambda message, ctx: None)
    with pytest.raises(ConfigurationError, match="tickrelay queue declare orders --lanes"):
        consumer.run(signals=False)


def test_an_effect_the_ledger_hasnt(lab: Lab) -> None:
    """Refused at the start."""
    consumer = lab.consumer()
    consumer.handler(QUEUE, effect="redis", name="take")(lambda message, ctx: None)
    with pytest.raises(ConfigurationError, match="SqliteLedger"):
        consumer.run(signals=False)


def test_a_singleton_skips(lab: Lab) -> None:
    """While one runs, what comes of its key is skipped and told so; afterwards the next runs."""
    consumer = lab.consumer(workers=4)
    release = threading.Event()
    ran: list[str] = []

    @consumer.handler(QUEUE, singleton=True)
    def take(message: Message, ctx: Context) -> None:
        ran.append(message.id)
        assert release.wait(60)

    with lab.running(consumer):
        (first,) = lab.publish(replace(Message.of(1), key="k"))
        until(lambda: ran == [first], "the first one runs")
        lab.publish(replace(Message.of(2), key="k"), replace(Message.of(3), key="k"))
        until(lambda: lab.stats("take").skipped == 2, "the others are skipped")
        release.set()
        until(lambda: lab.done("take") == 1, "the first one is done")
        (last,) = lab.publish(replace(Message.of(4), key="k"))
        until(lambda: lab.done("take") == 2, "the next one runs")
    assert [first, last] == ran


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_steps_are_done_once(lab: Lab, kind: str) -> None:
    """The second attempt is given the first one's results, and goes on behind them."""
    consumer = lab.consumer()
    did: list[str] = []

    def charge() -> dict[str, int]:
        did.append("charge")
        return {"paid": 7}

    async def charge_slowly() -> dict[str, int]:
        return charge()

    def rest(ctx: Context, paid: object) -> None:
        did.append(str(paid))
        if ctx.attempt == 1:
            raise ValueError("mail server away")

    if kind == "thread":

        @consumer.handler(QUEUE, name="take", retry=Retry(first=0.01))
        def take(message: Message, ctx: Context) -> None:
            rest(ctx, ctx.step("charge", charge))
    else:

        @consumer.handler(QUEUE, name="take", retry=Retry(first=0.01))
        async def take_slowly(message: Message, ctx: Context) -> None:
            rest(ctx, await ctx.astep("charge", charge_slowly))

    lab.publish_many(1)
    with lab.running(consumer):
        until(lambda: lab.done("take") == 1, "done")
    assert ["charge", "{'paid': 7}", "{'paid': 7}"] == did


def test_the_outbox(lab: Lab) -> None:
    """What a transaction publishes comes out when it has committed, once however often it was tried."""
    consumer = lab.consumer()
    got: list[object] = []

    @consumer.handler(QUEUE, effect="transaction", retry=Retry(first=0.01, attempts=1))
    def take(message: Message, ctx: Context) -> None:
        ctx.connection.execute(text("INSERT INTO effects (id) VALUES (:id)"), {"id": message.id})
        ctx.publish("mails", {"of": message.data})
        if ctx.attempt == 1 or message.data == 3:
            raise ValueError("after publishing")

    @consumer.handler("mails")
    def mail(message: Message, ctx: Context) -> None:
        got.append(message.data["of"])

    lab.publish_many(5)
    with lab.running(consumer):
        until(lambda: lab.stats("take").dead == 1 and lab.done("mail") == 4, "the mails are out")
    assert [0, 1, 2, 4] == sorted(got, key=str)
    assert 0 == lab.ledger.outbox.count()
    assert 0 == lab.stats("mail").duplicates


def test_ids_of_what_is_published_are_the_same_again(lab: Lab) -> None:
    """So a publication that was repeated by a crash is known to who consumes it."""
    consumer = lab.consumer()
    ids: list[list[str]] = []

    @consumer.handler(QUEUE, effect="transaction", retry=Retry(first=0.01))
    def take(message: Message, ctx: Context) -> None:
        ids.append([ctx.publish("mails", number) for number in range(3)])
        if ctx.attempt == 1:
            raise ValueError("again")

    lab.publish_many(1)
    with lab.running(consumer):
        until(lambda: lab.done("take") == 1, "done")
        until(lambda: lab.ledger.outbox.count() == 0, "sent, though nobody had declared the queue")
    assert ids[0] == ids[1]
    assert 3 == len(set(ids[0]))


def test_what_runs_long_is_held(lab: Lab) -> None:
    """After a third of the lease the ledger has the payload and the broker is told, while the handler still runs."""
    consumer = lab.consumer(lease=1.5)
    release = threading.Event()

    @consumer.handler(QUEUE)
    def take(message: Message, ctx: Context) -> None:
        assert release.wait(60)

    @consumer.handler(QUEUE)
    def quick(message: Message, ctx: Context) -> None:
        """The other handler of the same delivery."""

    (id_,) = lab.publish_many(1)
    with lab.running(consumer):
        until(lambda: lab.done("quick") == 1 and lab.on_queue() == (0, 0), "the broker has forgotten it")
        states = {life.route.handler: life.state for life in lab.ledger.history.life(id_)}
        assert {"take": State.CLAIMED, "quick": State.DONE} == states
        release.set()
        until(lambda: lab.done("take") == 1, "done")
    assert (0, 0) == (lab.stats("take").duplicates, lab.stats("quick").duplicates)


def test_an_ambiguous_one_is_quarantined(lab: Lab) -> None:
    """What ran past its timeout may have had its effect: it becomes a dead letter instead of running twice."""
    consumer = lab.consumer()
    release = threading.Event()
    ran: list[int] = []

    @consumer.handler(QUEUE, timeout=0.2, on_ambiguous="quarantine", retry=Retry(first=0.01))
    def take(message: Message, ctx: Context) -> None:
        ran.append(ctx.attempt)
        release.wait(60)

    lab.publish_many(1)
    with lab.running(consumer):
        (letter,) = until(lab.dead, "it's dead")
        release.set()
    assert [1] == ran
    assert "may have had its effect" in letter.error


def test_what_is_old_is_forgotten(lab: Lab) -> None:
    """After the retention, once the queue holds nothing of then; what waits and what is dead stays."""
    consumer = lab.consumer(dedup=1.0, history=1.0)

    @consumer.handler(QUEUE, retry=Retry(attempts=0))
    def take(message: Message, ctx: Context) -> None:
        if message.data == 0:
            raise ValueError("dies")

    dead, done = lab.publish_many(2)
    with lab.running(consumer):
        until(lambda: lab.done("take") == 1, "done")
        until(lambda: lab.ledger.history.life(done) == [], "forgotten")
    assert [State.DEAD] == [life.state for life in lab.ledger.history.life(dead)]
