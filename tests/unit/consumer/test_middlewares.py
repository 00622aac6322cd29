# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Middlewares: how they are put around handlers, and what each that is shipped does."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from pydantic import BaseModel
from structlog.testing import capture_logs

from tickrelay_consumer import Consumer, Context, DeadLetter, Message, RetryLater
from tickrelay_consumer.middlewares import (
    Around,
    AtMost,
    InvalidData,
    LogContext,
    MapErrors,
    Middleware,
    Skip,
    SkipOlder,
    SlowLog,
    Validate,
    compose,
)
from tickrelay_messaging.errors import ConfigurationError, MessageError
from tickrelay_messaging.ledger.records import Claim, Outcome, Route

ROUTE = Route("orders", "default", "take")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ctx(message: Message) -> Context:
    return Context(Claim(Outcome.RUN, ROUTE, b"k", message, attempt=2))


def call(middleware: Middleware, message: Message, handler: Any = None) -> Any:
    """Through one middleware, as a plain function."""
    return compose(handler or (lambda message, ctx: message.data), [middleware])(message, ctx(message))


def call_async(middleware: Middleware, message: Message, handler: Any = None) -> Any:
    """The same as a coroutine."""

    async def default(message: Message, ctx: Context) -> Any:
        await asyncio.sleep(0)
        return handler(message, ctx) if handler else message.data

    return asyncio.run(compose(default, [middleware])(message, ctx(message)))


BOTH = pytest.mark.parametrize("through", [call, call_async], ids=["sync", "async"])


def test_the_first_is_outermost() -> None:
    """The consumer's own lie around the handler's, each in the order given; results are handed on."""
    seen: list[str] = []

    def note(name: str) -> Middleware:
        def middleware(message: Message, ctx: Context, call: Any) -> Any:
            seen.append(name)
            return f"{name}({call(message, ctx)})"

        return middleware

    consumer = Consumer(middlewares=[note("a"), note("b")])
    consumer.handler("orders", name="h", middlewares=[note("c")])(lambda message, ctx: message.data)
    assert "a(b(c(7)))" == consumer.handlers[0].function(Message.of(7), ctx(Message.of(7)))
    assert ["a", "b", "c"] == seen


def test_without_middlewares_the_function_is_called_itself() -> None:
    """They cost nothing where there are none."""

    def take(message: Message, ctx: Context) -> None: ...

    consumer = Consumer()
    consumer.handler("orders")(take)
    assert consumer.handlers[0].function is take


def test_a_composed_handler_keeps_its_name_and_kind() -> None:
    """Whoever asks what runs is told the handler, and a coroutine function stays one."""

    async def take(message: Message, ctx: Context) -> None: ...

    composed = compose(take, [LogContext()])
    assert ("take", True) == (composed.__name__, asyncio.iscoroutinefunction(composed))


def test_kinds_that_do_not_fit_are_refused() -> None:
    """A plain middleware would not wait for a coroutine, an async one can't be called from a plain function."""

    def plain(message: Message, ctx: Context, call: Any) -> Any:
        return call(message, ctx)

    async def awaiting(message: Message, ctx: Context, call: Any) -> Any:
        return await call(message, ctx)

    async def take(message: Message, ctx: Context) -> Any:
        return message.data

    with pytest.raises(ConfigurationError, match="plain would block the event loop"):
        compose(take, [plain])
    with pytest.raises(ConfigurationError, match="awaiting is async"):
        compose(lambda message, ctx: None, [awaiting])
    assert 7 == asyncio.run(compose(take, [awaiting])(Message.of(7), ctx(Message.of(7))))


@BOTH
def test_one_file_adds_one(through: Any) -> None:
    """A before and an after, written once, serve both kinds of handlers."""
    seen: list[str] = []

    class Tracing(Around):
        def around(self, message: Message, ctx: Context) -> Any:
            seen.append(message.id)
            return structlog.contextvars.bound_contextvars(trace="t")

    assert 7 == through(Tracing(), Message.of(7, id="m"))
    assert ["m"] == seen


@BOTH
def test_log_lines_say_which_message(through: Any) -> None:
    """While the handler runs, and not after."""
    found: list[dict[str, Any]] = []

    def take(message: Message, ctx: Context) -> None:
        found.append(structlog.contextvars.get_contextvars())

    through(LogContext("dagid", "runid"), Message.of(1, id="m", extensions={"dagid": "d"}), take)
    expected = {"message": "m", "queue": "orders", "handler": "take", "attempt": 2, "dagid": "d"}
    assert [expected] == found
    assert {} == structlog.contextvars.get_contextvars()


@BOTH
def test_slow_attempts_are_logged(through: Any) -> None:
    """Also those that fail; quick ones aren't."""
    times = iter([0.0, 5.0, 10.0, 10.5])
    slow = SlowLog(1.0, clock=lambda: next(times))

    def fail(message: Message, ctx: Context) -> None:
        raise ValueError("no")

    with capture_logs() as lines:
        with pytest.raises(ValueError, match="no"):
            through(slow, Message.of(1, id="m"), fail)
        through(slow, Message.of(2))
    assert [("slow handler", "m", 5.0)] == [(one["event"], one["message"], one["seconds"]) for one in lines]


class Order(BaseModel):
    number: int
    email: str


@BOTH
def test_bad_data_never_reaches_the_handler(through: Any) -> None:
    """It is the message's fault, so no retry; the error says which field, and never its value."""
    called: list[Message] = []
    with pytest.raises(InvalidData) as caught:
        through(
            Validate(Order),
            Message.of({"number": "secret-4711"}),
            lambda message, _ctx: called.append(message),
        )
    assert isinstance(caught.value, MessageError)
    assert "number: " in str(caught.value)
    assert "email: Field required" in str(caught.value)
    assert "4711" not in str(caught.value)
    assert [] == called
    assert {"number": 1, "email": "a"} == through(Validate(Order), Message.of({"number": 1, "email": "a"}))


def test_any_callable_may_judge() -> None:
    """ValueError and TypeError are its no; what the handler raises stays the handler's."""

    def positive(data: Any) -> None:
        if data["n"] <= 0:
            raise ValueError("n must be positive")

    with pytest.raises(InvalidData, match="what take takes: n must be positive"):
        call(Validate(positive), Message.of({"n": 0}))
    with pytest.raises(InvalidData):
        call(Validate(positive), Message.of(3))

    def fail(message: Message, ctx: Context) -> None:
        raise ValueError("the handler's own")

    with pytest.raises(ValueError, match="own") as caught:
        call(Validate(positive), Message.of({"n": 1}), fail)
    assert not isinstance(caught.value, MessageError)


@BOTH
def test_skipped_messages_are_done(through: Any) -> None:
    """The handler isn't called and nothing is raised; the log has a line."""
    called: list[str] = []

    def take(message: Message, ctx: Context) -> None:
        called.append(message.id)

    with capture_logs() as lines:
        through(
            Skip(lambda message: message.type == "test", "a test"), Message.of(1, id="a", type="test"), take
        )
        through(Skip(lambda message: message.type == "test"), Message.of(1, id="b"), take)
    assert ["b"] == called
    assert [("skipped", "a", "a test")] == [(one["event"], one["message"], one["why"]) for one in lines]


def test_age_counts_from_the_instant_it_was_meant_for() -> None:
    """`deliver_at` if it has one, else its publication; one that says neither is never old."""
    called: list[str] = []

    def take(message: Message, ctx: Context) -> None:
        called.append(message.id)

    old, fresh = NOW - timedelta(seconds=100), NOW - timedelta(seconds=5)
    skip = SkipOlder(60, clock=NOW.timestamp)
    for message in (
        Message(id="old", time=old),
        Message(id="fresh", time=fresh),
        Message(id="late", time=fresh, deliver_at=old),
        Message(id="due", time=old, deliver_at=fresh),
        Message(id="timeless"),
    ):
        call(skip, message, take)
    assert ["fresh", "due", "timeless"] == called


@BOTH
def test_errors_become_wishes(through: Any) -> None:
    """By class, subclasses too; a handler's own wish and strangers stay as they are."""
    mapped = MapErrors(dead=(KeyError, LookupError), retry={ConnectionError: 30.0})

    def raising(error: Exception) -> Any:
        def take(message: Message, ctx: Context) -> None:
            raise error

        return take

    with pytest.raises(DeadLetter, match="KeyError: 'x'"):
        through(mapped, Message.of(1), raising(KeyError("x")))
    with pytest.raises(RetryLater) as later:
        through(mapped, Message.of(1), raising(ConnectionResetError("peer")))
    assert 30.0 == later.value.delay
    with pytest.raises(RetryLater) as own:
        through(mapped, Message.of(1), raising(RetryLater(5)))
    assert 5 == own.value.delay
    with pytest.raises(ValueError, match="other"):
        through(mapped, Message.of(1), raising(ValueError("other")))


def test_a_map_without_errors_is_a_mistake() -> None:
    """It would do nothing."""
    with pytest.raises(ConfigurationError, match="name exceptions"):
        MapErrors()
    with pytest.raises(ConfigurationError, match="count must be at least 1"):
        AtMost(0)


def test_at_most_so_many_at_once() -> None:
    """Of those alike; others aren't kept waiting, and nothing is remembered of keys nobody uses."""
    limit = AtMost(2, by=lambda message: message.key, wait=20)
    inside, most = 0, 0
    lock, go = threading.Lock(), threading.Event()

    def take(message: Message, ctx: Context) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        go.wait(20)
        with lock:
            inside -= 1

    composed = compose(take, [limit])
    threads = [
        threading.Thread(target=composed, args=(message, ctx(message)))
        for message in [Message.of(n, key="same") for n in range(6)]
    ]
    for thread in threads:
        thread.start()
    other = threading.Thread(
        target=lambda: compose(lambda m, c: None, [limit])(Message.of(1, key="o"), ctx(Message.of(1)))
    )
    other.start()
    other.join(20)
    assert not other.is_alive()
    go.set()
    for thread in threads:
        thread.join(20)
    assert 1 <= most <= 2
    assert {} == limit._turns


@BOTH
def test_no_turn_in_time_asks_for_later(through: Any) -> None:
    """Rather than hold a worker for ever; a turn is given back also after an error."""
    limit = AtMost(1, wait=0)

    def nested(message: Message, outer: Context) -> Any:
        with pytest.raises(RetryLater, match="no turn within 0 s"):
            call(limit, message)
        raise ValueError("in the handler")

    if through is call:
        with pytest.raises(ValueError, match="in the handler"):
            through(limit, Message.of(1), nested)
    assert 7 == through(AtMost(1, wait=10), Message.of(7))
    assert {} == limit._turns


def test_coroutines_wait_for_their_turn() -> None:
    """Without blocking their loop."""
    limit = AtMost(2, wait=20)
    inside, most = 0, 0

    async def take(message: Message, ctx: Context) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    async def run() -> None:
        composed = compose(take, [limit])
        await asyncio.gather(*(composed(Message.of(n), ctx(Message.of(n))) for n in range(10)))

    asyncio.run(run())
    assert 2 == most
    assert {} == limit._turns
