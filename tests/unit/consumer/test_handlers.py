# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Handlers as they are declared: retry delays, what is refused, and what a handler is given."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickrelay_consumer import Consumer, Context, DeadLetter, Message, Retry, RetryLater
from tickrelay_consumer.handlers import LONGEST_DELAY, NO_RETRY, Effect, Handler
from tickrelay_messaging.errors import CallerError, ConfigurationError, UndecodableMessage
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import Claim, Outcome, Route

RETRIES = st.builds(
    Retry,
    first=st.floats(0, 1e4),
    factor=st.floats(1, 50),
    attempts=st.integers(0, 2000),
    jitter=st.floats(0, 5),
)


@given(RETRIES, st.integers(1, 2100))
def test_a_delay_is_within_its_bounds(retry: Retry, attempt: int) -> None:
    """At least first * factor^(attempt-1), at most longer by the jitter; none after the last; never too large."""
    delay = retry.delay(attempt)
    if attempt > retry.attempts:
        assert delay is None
        return
    assert delay is not None
    try:
        least = retry.first * retry.factor ** (attempt - 1)
    except OverflowError:
        least = math.inf
    assert min(LONGEST_DELAY, least) <= delay <= LONGEST_DELAY
    assert delay <= least * (1 + retry.jitter) * (1 + 1e-9) or least == math.inf


@given(RETRIES, st.integers(1, 2000))
def test_delays_never_shrink(retry: Retry, attempt: int) -> None:
    """Without jitter each delay is at least the one before."""
    steady = Retry(first=retry.first, factor=retry.factor, attempts=retry.attempts, jitter=0)
    earlier, later = steady.delay(attempt), steady.delay(attempt + 1)
    assert later is None or (earlier is not None and earlier <= later)


def test_the_default_is_1_2_4_seconds() -> None:
    """Three retries, after about 1, 2 and 4 seconds."""
    steady = Retry(jitter=0)
    assert [1.0, 2.0, 4.0, None] == [steady.delay(attempt) for attempt in (1, 2, 3, 4)]
    assert NO_RETRY.delay(1) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1},
        {"factor": 0.5},
        {"attempts": -1},
        {"jitter": -0.1},
        {"first": math.nan},
        {"factor": math.inf},
    ],
)
def test_a_retry_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigurationError, match=f"Retry: {next(iter(wrong))} must be"):
        Retry(**wrong)  # type: ignore[arg-type]  # numbers


def _handler(**settings: Any) -> Handler:
    return Handler(function=lambda message, ctx: None, queue="orders", name="h", **settings)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), 8.0),
        (DeadLetter("never"), None),
        (UndecodableMessage("not JSON"), None),
        (RetryLater(0.5), 0.5),
        (RetryLater(-1), 0.0),
        (RetryLater(math.inf), LONGEST_DELAY),
        (RetryLater(math.nan), 8.0),
        (SystemExit(), 8.0),
    ],
)
def test_the_delay_after_an_error(error: BaseException, expected: float | None) -> None:
    """What no retry can mend dies at once; a handler's own wish counts, as far as it is a number."""
    handler = _handler(retry=Retry(first=8, jitter=0))
    assert expected == handler.delay_after(error, 1)


@given(st.integers(4, 100))
def test_a_wish_counts_as_an_attempt(attempt: int) -> None:
    """`RetryLater` doesn't go on for ever."""
    assert _handler().delay_after(RetryLater(1), attempt) is None


@pytest.mark.parametrize("timeout", [0, -1, math.nan])
def test_a_timeout_must_be_above_zero(timeout: float) -> None:
    """A handler that has no time can't succeed."""
    with pytest.raises(ConfigurationError, match="timeout must be above 0"):
        _handler(timeout=timeout)


def test_mistakes_in_the_decorator_are_named() -> None:
    """An unknown effect, a bad queue name and a second handler of the same name are refused where they stand."""
    consumer = Consumer()
    with pytest.raises(
        ConfigurationError, match="effect must be one of transaction, redis, external, got 'once'"
    ):
        consumer.handler("orders", effect="once")
    with pytest.raises(ConfigurationError):
        consumer.handler("no/such name")
    consumer.handler("orders", name="h")(lambda message, ctx: None)
    with pytest.raises(ConfigurationError, match="give this one another name="):
        consumer.handler("orders", name="h")(lambda message, ctx: None)
    consumer.handler("invoices", name="h")(lambda message, ctx: None)
    assert [("orders", "h"), ("invoices", "h")] == [(one.queue, one.name) for one in consumer.handlers]
    assert Effect.EXTERNAL == consumer.handlers[0].effect


def test_the_decorator_returns_the_function() -> None:
    """So it can still be called and tested."""
    consumer = Consumer()

    def work(message: Message, ctx: Context) -> str:
        return "result"

    assert consumer.handler("orders")(work) is work
    assert "work" == consumer.handlers[0].name


def test_a_consumer_without_handlers_does_not_start() -> None:
    """It would do nothing and look healthy."""
    with pytest.raises(ConfigurationError, match="no handler"):
        Consumer().run(signals=False)


def _context(handler: str = "h") -> Context:
    route = Route("orders", "default", handler)
    message = Message(id="1", source="s")
    return Context(Claim(Outcome.RUN, route, key_of(route, "s", "1"), message, fence=7, attempt=2))


def test_a_context_says_what_a_handler_may_know() -> None:
    """Attempt, fence, route, and a key that stays the same for this handler and differs for another."""
    ctx = _context()
    assert (2, 7, "h") == (ctx.attempt, ctx.fence, ctx.route.handler)
    assert ctx.idempotency_key == _context().idempotency_key
    assert ctx.idempotency_key != _context("other").idempotency_key


def test_an_external_handler_has_no_connection() -> None:
    """The error says what to declare."""
    with pytest.raises(CallerError, match="effect='transaction'"):
        _ = _context().connection
