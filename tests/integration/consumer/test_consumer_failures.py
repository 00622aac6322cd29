# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Failing handlers and messages nobody can read: retried as asked, then dead letters, and never in the others' way."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import pytest
from consumer_lab import QUEUE, Lab, metric, until

from tickrelay_consumer import Context, DeadLetter, Message, Retry, RetryLater
from tickrelay_messaging.errors import BrokerUnavailable, ClaimLost
from tickrelay_messaging.ledger.records import DeadFilter

QUICK = Retry(first=0.01, factor=1, attempts=2)


@pytest.mark.parametrize("effect", ["external", "transaction"])
def test_retries_come_at_growing_delays_and_end_in_a_dead_letter(lab: Lab, effect: str) -> None:
    """After first, first * factor, ...: `attempts` times, then a dead letter with error, stack and all attempts."""
    consumer = lab.consumer()
    began: list[float] = []

    @consumer.handler(QUEUE, effect=effect, retry=Retry(first=0.1, factor=2, attempts=3, jitter=0))
    def fail(message: Message, ctx: Context) -> None:
        began.append(time.monotonic())
        raise ValueError(f"attempt {ctx.attempt}")

    message = Message.of({"order": 7})
    with lab.running(consumer):
        lab.publish(message)
        (dead,) = until(lab.dead, "a dead letter")

    delays = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert 3 == len(delays)
    for expected, actual in zip((0.1, 0.2, 0.4), delays, strict=True):
        assert expected <= actual <= expected + 0.25
    assert (message.id, 4, 0, message.body) == (dead.message_id, dead.attempts, dead.crashes, dead.body)
    assert "ValueError" in dead.error
    assert "attempt 4" in dead.error
    assert 'raise ValueError(f"attempt {ctx.attempt}")' in dead.stack
    assert (0, 0) == lab.on_queue()


def test_retry_later_waits_as_long_as_it_says(lab: Lab) -> None:
    """`RetryLater(0.3)` overrides the handler's own delay, and counts as an attempt."""
    consumer = lab.consumer()
    began: list[float] = []

    @consumer.handler(QUEUE, retry=Retry(first=30))
    def wait(message: Message, ctx: Context) -> None:
        began.append(time.monotonic())
        if ctx.attempt == 1:
            raise RetryLater(0.3)

    with lab.running(consumer):
        lab.publish(Message.of(1))
        until(lambda: lab.done("wait") == 1, "second attempt")

    assert 0.3 <= began[1] - began[0] <= 0.6


def test_a_handler_may_give_up_at_once(lab: Lab) -> None:
    """`DeadLetter` spends no retries; after a replay the handler has all its attempts again."""
    consumer = lab.consumer()
    seen: list[int] = []

    @consumer.handler(QUEUE)
    def refuse(message: Message, ctx: Context) -> None:
        seen.append(ctx.attempt)
        if len(seen) == 1:
            raise DeadLetter("no such customer")

    lab.publish(Message.of(1))
    with lab.running(consumer):
        (dead,) = until(lab.dead, "a dead letter")
        assert "no such customer" in dead.error
        lab.ledger.dead_letters.replay(DeadFilter(numbers=(dead.number,)), by="test")
        until(lambda: lab.done("refuse") == 1, "its replay")

    assert [1, 1] == seen


class Unspeakable(Exception):
    """An error that can't even be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def _exit() -> NoReturn:
    sys.exit("a handler has no business ending the process")


def _raise(error: BaseException) -> Callable[[], NoReturn]:
    def call() -> NoReturn:
        raise error

    return call


@pytest.mark.parametrize("effect", ["external", "transaction"])
@pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(_exit, id="sys.exit"),
        pytest.param(_raise(KeyboardInterrupt()), id="KeyboardInterrupt"),
        pytest.param(_raise(ValueError("file \udcff")), id="lone-surrogate"),
        pytest.param(_raise(Unspeakable()), id="no-text"),
        pytest.param(_raise(RetryLater(float("nan"))), id="nan-delay"),
        pytest.param(_raise(RetryLater("soon")), id="text-delay"),  # type: ignore[arg-type]  # a user's mistake
        pytest.param(_raise(RetryLater(-5)), id="negative-delay"),
        pytest.param(_raise(BrokerUnavailable("the handler's own broker")), id="service-error"),
        pytest.param(_raise(ClaimLost("a handler can't know that")), id="claim-lost"),
    ],
)
def test_whatever_a_handler_raises_is_that_message_s_failure(
    lab: Lab, effect: str, misbehave: Callable[[], NoReturn]
) -> None:
    """Its message is retried and dies; its neighbours are carried out, and the consumer goes on."""
    consumer = lab.consumer()

    @consumer.handler(QUEUE, effect=effect, retry=QUICK)
    def take(message: Message, ctx: Context) -> None:
        if message.data == "bad":
            misbehave()

    with lab.running(consumer) as running:
        lab.publish(Message.of(1), Message.of("bad"), Message.of(2))
        (dead,) = until(lab.dead, "a dead letter")
        until(lambda: lab.done("take") == 2, "its neighbours")
        lab.publish(Message.of(3))
        until(lambda: lab.done("take") == 3, "who comes later")

    assert (3, 0) == (dead.attempts, running.code)


BROKEN = {
    "not JSON": b"{",
    "NaN": b'{"x": NaN}',
    "a key twice": b'{"x": 1, "x": 2}',
    "100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "zero bytes": b"",
    "not UTF-8": b'"\xff"',
    "a lone surrogate": b'"\\ud800"',
    "not one document": b"1 2",
}


def test_a_body_that_is_not_what_it_says_is_a_dead_letter(lab: Lab) -> None:
    """For every handler, bytes kept, no handler called, and what lies before and behind it isn't held up."""
    consumer = lab.consumer()
    seen: list[object] = []
    consumer.handler(QUEUE, name="one")(lambda message, ctx: seen.append(message.data))
    consumer.handler(QUEUE, name="two", effect="transaction")(lambda message, ctx: seen.append(message.data))
    messages = [Message(id=name.replace(" ", "-"), body=body) for name, body in BROKEN.items()]
    between = [Message.of(number) for number in range(len(messages))]
    lab.publish(*(one for pair in zip(between, messages, strict=True) for one in pair))
    with lab.running(consumer):
        until(lambda: lab.done("one") == lab.done("two") == len(between), "the good ones")
        until(lambda: lab.on_queue() == (0, 0), "all acknowledged")

    assert sorted(list(range(len(between))) * 2) == sorted(seen)  # type: ignore[type-var]  # numbers
    dead = lab.dead()
    for handler in ("one", "two"):
        kept = {one.message_id: one.body for one in dead if one.route.handler == handler}
        assert {message.id: message.body for message in messages} == kept
    assert {"undecodable"} == {one.reason for one in dead}
    assert len(messages) == metric(
        consumer, "tickrelay_consumer_undecodable_total", queue=QUEUE, group="default"
    )


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no-headers"),
        pytest.param({"x-other": "1", "content-type": "text/plain"}, id="not-cloudevents"),
        pytest.param(
            {"ce_specversion": "0.3", "ce_id": "1", "ce_source": "s", "ce_type": "t"}, id="old-version"
        ),
        pytest.param({"ce_specversion": "1.0", "ce_source": "s", "ce_type": "t"}, id="no-id"),
        pytest.param(
            {
                "ce_specversion": "1.0",
                "ce_id": "1",
                "ce_source": "s",
                "ce_type": "t",
                "ce_deliverat": "tomorrow",
            },
            id="no-instant",
        ),
    ],
)
def test_a_foreign_message_is_a_dead_letter(lab: Lab, headers: dict[str, str]) -> None:
    """A message without CloudEvents' attributes keeps its headers and bytes, and its neighbours aren't held up."""
    consumer = lab.consumer()
    seen: list[object] = []
    consumer.handler(QUEUE, name="take")(lambda message, ctx: seen.append(message.data))
    lab.publish(Message.of(1), Message(id="foreign", body=b"\x00\xff"), Message.of(2))
    lab.write(
        f"UPDATE messages SET headers = '{json.dumps(headers)}' WHERE body = x'00ff'", file=lab.queue_file
    )
    with lab.running(consumer):
        until(lambda: lab.done("take") == 2 and lab.on_queue() == (0, 0), "its neighbours")

    (dead,) = lab.dead()
    assert (b"\x00\xff", headers) == (dead.body, dead.headers)
    assert [1, 2] == seen
