# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Handlers in an event loop: many at a time, ended by cancellation, and what refuses to end or blocks the others."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

sys.path.insert(0, str(Path(__file__).parent))

from runner_lab import RunnerLab, until

from tickrelay_consumer import Consumer, Context, Message, Retry, RetryLater
from tickrelay_consumer.batching import BatchContext
from tickrelay_consumer.modes import Mode
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import Verdict

ONCE = Retry(first=0.5, factor=1, attempts=1, jitter=0)


def test_an_async_function_runs_in_the_loop_by_default() -> None:
    """No mode= is needed for `async def`; and neither kind can be put where it would never run or block all."""
    consumer = Consumer()

    async def wait(message: Message, ctx: Context) -> None: ...

    def block(message: Message, ctx: Context) -> None: ...

    consumer.handler("orders")(wait)
    consumer.handler("orders")(block)
    assert [Mode.ASYNCIO, Mode.THREAD] == [handler.mode for handler in consumer.handlers]
    for function, mode, effect in (
        (wait, "thread", "external"),
        (wait, "process", "external"),
        (block, "asyncio", "external"),
        (block, "fibre", "external"),
        (wait, "asyncio", "transaction"),
        (block, "process", "transaction"),
    ):
        with pytest.raises(ConfigurationError, match="mode"):
            consumer.handler("orders", name="x", mode=mode, effect=effect)(function)


def test_many_at_a_time_and_no_more_than_allowed() -> None:
    """A hundred that wait take about as long as five rounds of twenty."""
    consumer = Consumer()
    now, most = 0, 0

    @consumer.handler("orders")
    async def wait(message: Message, ctx: Context) -> None:
        nonlocal now, most
        now += 1
        most = max(now, most)
        await asyncio.sleep(0.02)
        now -= 1

    with RunnerLab(consumer.handlers, coroutines=20) as lab:
        ids = lab.put("wait", *range(100))
        assert {Verdict.DONE} == {lab.result(id_).verdict for id_ in ids}
    assert 20 == most


def test_what_it_raises_is_its_result() -> None:
    """An exception, a wish, its own `TimeoutError` and a cancellation it brought about itself."""
    consumer = Consumer()
    errors: dict[str, BaseException] = {
        "value": ValueError("no"),
        "later": RetryLater(33),
        "time": TimeoutError("the bank's"),
        "cancel": asyncio.CancelledError(),
        "exit": SystemExit(3),
    }

    @consumer.handler("orders", retry=ONCE)
    async def fail(message: Message, ctx: Context) -> None:
        raise errors[message.data]

    with RunnerLab(consumer.handlers) as lab:
        results = [lab.result(id_) for id_ in lab.put("fail", *errors)]
    assert [0.5, 33, 0.5, 0.5, 0.5] == [one.delay for one in results]
    assert [type(error).__name__ for error in errors.values()] == [
        one.failure.kind for one in results if one.failure
    ]
    assert not any(one.ambiguous for one in results)


def test_a_timeout_cancels() -> None:
    """The coroutine is told, its clean-up runs, and its result says that it is ambiguous."""
    consumer = Consumer()
    told = threading.Event()

    @consumer.handler("orders", timeout=0.1, retry=ONCE)
    async def wait(message: Message, ctx: Context) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            told.set()

    with RunnerLab(consumer.handlers) as lab:
        result = lab.result(lab.put("wait", 1)[0])
        assert (Verdict.RETRY, True) == (result.verdict, result.ambiguous)
        assert result.failure
        assert "HandlerTimeout" == result.failure.kind
        assert told.is_set()
        assert 0 == lab.shared.stuck


def test_one_that_cant_be_cancelled_is_given_up() -> None:
    """Its message is retried, it counts as stuck until it ends, and the others go on."""
    consumer = Consumer()
    free = threading.Event()

    @consumer.handler("orders", timeout=0.1)
    async def take(message: Message, ctx: Context) -> None:
        while message.data == "stubborn" and not free.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    with RunnerLab(consumer.handlers) as lab:
        (id_,) = lab.put("take", "stubborn")
        assert lab.result(id_).ambiguous
        assert 1 == lab.shared.stuck
        assert Verdict.DONE is lab.result(lab.put("take", 1)[0]).verdict
        free.set()
        until(lambda: lab.shared.stuck == 0, "it has ended")
        assert 1 == sum(one.work.claim.message.id == id_ for one in lab.results)


def test_one_that_blocks_the_loop_is_reported_and_left() -> None:
    """The line is named, at its timeout another loop takes over, and neighbours are tried again without blame."""
    consumer = Consumer()
    free, ran = threading.Event(), threading.Event()

    @consumer.handler("orders", timeout=60)
    async def neighbour(message: Message, ctx: Context) -> None:
        if message.data == "long":
            ran.set()
            await asyncio.sleep(50)

    @consumer.handler("orders", timeout=1.5)
    async def block(message: Message, ctx: Context) -> None:
        free.wait(60)

    with capture_logs() as said, RunnerLab(consumer.handlers) as lab:
        (long,) = lab.put("neighbour", "long", attempt=99)
        until(ran.is_set, "it runs")
        (id_,) = lab.put("block", 1)
        (later,) = lab.put("neighbour", "short")
        hung = lab.result(id_)
        assert hung.failure
        assert ("HandlerTimeout", True) == (hung.failure.kind, hung.ambiguous)
        innocent = lab.result(long)
        assert (Verdict.RETRY, True, 0) == (innocent.verdict, innocent.ambiguous, innocent.delay)
        assert Verdict.DONE is lab.result(later).verdict
        assert 1 == lab.shared.stuck
        free.set()
        until(lambda: lab.shared.stuck == 0, "the old loop has ended")
    (told,) = [str(entry) for entry in said if "blocks the event loop" in entry["event"]]
    assert "threading.py" in told or Path(__file__).name in told


@pytest.mark.parametrize(("grace", "verdict"), [(20.0, Verdict.DONE), (0.1, Verdict.RETRY)])
def test_stopping(grace: float, verdict: Verdict) -> None:
    """What runs may end within the grace and is cancelled then; what hasn't begun is released."""
    consumer = Consumer()
    began = threading.Event()

    @consumer.handler("orders")
    async def wait(message: Message, ctx: Context) -> None:
        began.set()
        await asyncio.sleep(0.5 if grace > 1 else 30)

    with RunnerLab(consumer.handlers, coroutines=1) as lab:
        first, second = lab.put("wait", 1, 2)
        until(began.is_set, "it runs")
        since = time.monotonic()
        lab.stop(grace)
        assert time.monotonic() - since < 15
        assert (verdict, Verdict.RELEASE) == (lab.result(first, 1).verdict, lab.result(second, 1).verdict)


def test_a_batch_in_the_loop() -> None:
    """A batch handler may be async."""
    consumer = Consumer()
    seen: list[list[Any]] = []

    @consumer.handler("orders", batch=3, batch_wait=30)
    async def many(messages: list[Message], ctx: BatchContext) -> None:
        await asyncio.sleep(0)
        seen.append([message.data for message in messages])

    with RunnerLab(consumer.handlers) as lab:
        assert {Verdict.DONE} == {lab.result(id_).verdict for id_ in lab.put("many", 1, 2, 3)}
    assert [[1, 2, 3]] == seen
