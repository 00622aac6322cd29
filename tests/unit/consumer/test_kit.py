# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The shipped test kit, as a newcomer uses it: what a crash leaves, what a retry waits for, what came of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tickrelay_consumer import Consumer, Context, DeadLetter, Message, Retry
from tickrelay_consumer.batching import BatchContext
from tickrelay_consumer.testing import POINTS, Kit
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.failpoints import NAMES
from tickrelay_messaging.ledger.records import Outgoing, Owner

consumer = Consumer()
sent: list[str] = []


@consumer.handler("orders", effect="transaction")
def book(message: Message, ctx: Context) -> None:
    row = {"id": message.id, "total": message.data["total"]}
    ctx.connection.execute(text("INSERT INTO bookings VALUES (:id, :total)"), row)


@consumer.handler("mails", retry=Retry(first=60, attempts=2))
def send(message: Message, ctx: Context) -> None:
    sent.append(ctx.idempotency_key)
    if message.data == "fail":
        raise ConnectionError("no route")


BOOKINGS = "CREATE TABLE bookings (id TEXT, total INTEGER)"


@pytest.fixture(autouse=True)
def nothing_sent() -> None:
    sent.clear()


def test_a_transaction_survives_the_worst_moment() -> None:
    """The newcomer's ten lines: killed between effect and commit, the row is there once."""
    with Kit(consumer) as kit:
        kit.sql(BOOKINGS)
        kit.crash_at("consumer.after_effect")
        kit.publish("orders", {"total": 12})
        kit.run()
        assert [(12,)] == kit.sql("SELECT total FROM bookings")
        assert 1 == kit.crashes == len(kit.effects)


def test_an_external_effect_is_repeated_under_its_key() -> None:
    """The same moment, outside the ledger: twice, and both times with the same idempotency key."""
    with Kit(consumer) as kit:
        kit.crash_at("consumer.after_effect")
        kit.publish("mails", "hello")
        kit.run()
        assert 2 == len(sent) == len(kit.effects)
        assert 1 == len(set(sent)) == len({one.key for one in kit.effects})


@pytest.mark.parametrize("point", POINTS)
def test_every_point_leaves_a_transaction_whole(point: str) -> None:
    """Wherever it dies, and how often (twice is no poison): each message's row is there once, and nothing is left."""
    with Kit(consumer) as kit:
        kit.sql(BOOKINGS)
        ids = [kit.publish("orders", {"total": number}).id for number in range(3)]
        if point == "consumer.after_claim_due":
            kit.crash_at("consumer.after_receive")
            kit.crash_at("consumer.after_claim")
        kit.crash_at(point, times=2)
        kit.run()
        assert sorted((one,) for one in ids) == sorted(kit.sql("SELECT id FROM bookings"))
        assert (0, []) == (kit.waiting, kit.dead)
        assert kit.crashes >= 2


def test_a_retry_waits_for_the_clock() -> None:
    """Nothing happens before its instant; then it does, until its attempts are spent."""
    with Kit(consumer) as kit:
        kit.publish("mails", "fail")
        kit.run()
        kit.clock.advance(59)
        kit.run()
        assert (1, 1) == (len(sent), kit.waiting)
        kit.clock.advance(1)
        kit.run()
        kit.clock.advance(120)
        kit.run()
        (dead,) = kit.dead
        assert (3, 3, [], 0) == (len(sent), dead.attempts, kit.effects, kit.waiting)
        assert "no route" in dead.error


def test_a_message_waits_for_its_instant() -> None:
    """`deliver_at` goes by the kit's clock."""
    with Kit(consumer) as kit:
        kit.publish("mails", "later", deliver_at=kit.clock.now + timedelta(hours=1))
        assert 0 == kit.run()
        kit.clock.advance(3600)
        assert 1 == kit.run()


def test_a_duplicate_is_dropped() -> None:
    """Published twice with one id, carried out once."""
    with Kit(consumer) as kit:
        for _ in range(2):
            kit.publish("mails", "hello", id="m1")
        assert 1 == kit.run()
        assert ["m1"] == [one.message_id for one in kit.effects]


def test_a_message_that_kills_becomes_a_dead_letter() -> None:
    """Poison: after its third lone crash nobody tries again, and its neighbour is done."""
    with Kit(consumer) as kit:
        kit.crash_at("consumer.before_handler", times=4)
        kit.publish("mails", "deadly")
        kit.run()
        kit.publish("mails", "harmless")
        kit.run()
        assert ["poison"] == [one.reason for one in kit.dead]
        assert ["harmless"] == [one.data for one in kit.effects]


def test_a_failed_transaction_leaves_no_row_and_no_effect() -> None:
    """What a handler wrote before it raised is undone."""
    consumer = Consumer()

    @consumer.handler("orders", effect="transaction", retry=Retry(attempts=0))
    def fail(message: Message, ctx: Context) -> None:
        ctx.connection.execute(text("INSERT INTO bookings VALUES ('x', 1)"))
        raise DeadLetter("after all")

    with Kit(consumer) as kit:
        kit.sql(BOOKINGS)
        kit.publish("orders", {})
        assert 0 == kit.run()
        assert ([], ["failed"]) == (kit.sql("SELECT * FROM bookings"), [one.reason for one in kit.dead])


def test_a_batch_is_called_once() -> None:
    """With what was there; one that it names as failed waits, the others are done."""
    consumer = Consumer()
    calls: list[list[Any]] = []

    @consumer.handler("orders", batch=3)
    def take(messages: list[Message], ctx: BatchContext) -> None:
        calls.append([message.data for message in messages])
        for message in messages:
            if message.data == 2:
                ctx.fail(message, "not this one")

    with Kit(consumer) as kit:
        for number in range(5):
            kit.publish("orders", number)
        assert 4 == kit.run()
        assert ([[0, 1, 2], [3, 4]], 1) == (calls, kit.waiting)


def test_outgoing_messages_go_out() -> None:
    """What lies in the ledger's outbox is on its queue after the run, and is marked only then."""

    class Outbox:
        def __init__(self) -> None:
            self.waiting = [Outgoing(number=7, queue="invoices", message=Message.of("due", id="i1"))]

        def take(self, owner: Owner, limit: int) -> list[Outgoing]:
            return self.waiting[:limit]

        def sent(self, owner: Owner, numbers: list[int]) -> None:
            assert ["i1"] == [one.id for one in kit.messages("invoices")]
            self.waiting = [one for one in self.waiting if one.number not in numbers]

    with Kit(consumer) as kit:
        kit.ledger.outbox = Outbox()  # type: ignore[assignment]  # as much of one as is needed
        kit.run()
        assert ["due"] == [one.data for one in kit.messages("invoices")]


def test_coroutines_run_too() -> None:
    """An async handler is awaited."""
    consumer = Consumer()
    seen: list[Any] = []

    @consumer.handler("orders")
    async def take(message: Message, ctx: Context) -> None:
        await asyncio.sleep(0)
        seen.append(message.data)

    with Kit(consumer) as kit:
        kit.publish("orders", 1)
        kit.run()
    assert [1] == seen


def test_a_test_that_shows_nothing_fails() -> None:
    """A crash that never came about is an error, and so is a point that doesn't exist."""
    with Kit(consumer) as kit:
        kit.crash_at("consumer.after_effect", hit=2)
        kit.publish("mails", "hello")
        with pytest.raises(AssertionError, match=r"never came by consumer\.after_effect"):
            kit.run()
        with pytest.raises(ConfigurationError, match="no crash point"):
            kit.crash_at("consumer.afterwards")
        with pytest.raises(ConfigurationError, match="at least 1"):
            kit.crash_at("consumer.after_effect", times=0)


def test_the_kit_crashes_where_the_consumer_can() -> None:
    """Its points are the real consumer's, by the same names."""
    assert set(POINTS) <= set(NAMES)


def test_a_clock_does_not_run_backwards() -> None:
    """A store's clock that did would be another test."""
    with Kit(consumer) as kit, pytest.raises(ValueError, match="backwards"):
        kit.clock.advance(-1)
