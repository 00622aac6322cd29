# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker by itself: when it opens, what it lets through, and what a failure costs."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tickrelay_consumer import Consumer, Retry
from tickrelay_consumer.breaker import PLENTY, Breaker, Circuit, CircuitOpen, Switch
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Result, Work, failed
from tickrelay_consumer.gates import Gates
from tickrelay_consumer.health import Health
from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.errors import (
    ConfigurationError,
    DeadLetter,
    HandlerTimeout,
    RetryLater,
    UndecodableMessage,
)
from tickrelay_messaging.ledger.records import Claim, Failure, Outcome, Route, Verdict
from tickrelay_messaging.message import Message


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def switch(clock: Clock) -> Switch:
    """Three failures in ten seconds open it for five."""
    return Switch(Breaker(failures=3, within=10, open_for=5), clock)


def trip(switch: Switch) -> None:
    for number in range(3):
        switch.fail(bytes([number]), "down")
    assert Circuit.OPEN == switch.state


def test_failures_within_the_time_open_it(switch: Switch, clock: Clock) -> None:
    """The third does, not the second; then there is no room and nothing starts."""
    assert not switch.fail(b"1", "down")
    clock.now += 4
    assert not switch.fail(b"2", "down")
    assert (Circuit.CLOSED, PLENTY) == (switch.state, switch.room())
    assert not switch.fail(b"3", "down"), "it was closed when this one began and ended"
    assert (Circuit.OPEN, 0, 5.0) == (switch.state, switch.room(), switch.wait())
    assert not switch.start(b"4")


def test_old_failures_are_forgotten(switch: Switch, clock: Clock) -> None:
    """Two long ago and one now aren't three."""
    switch.fail(b"1", "down")
    switch.fail(b"2", "down")
    clock.now += 10.5
    switch.fail(b"3", "down")
    assert Circuit.CLOSED == switch.state


def test_a_few_failures_among_many_successes_do_not_open_it(switch: Switch) -> None:
    """Less than the share; a handler that fails now and then isn't down."""
    switch.succeed(b"0", 7)
    for number in range(6):
        switch.fail(bytes([number]), "odd")
    assert Circuit.CLOSED == switch.state
    switch.fail(b"7", "odd")
    assert Circuit.OPEN == switch.state


def test_half_open_lets_one_probe_through(switch: Switch, clock: Clock) -> None:
    """One message; the others wait until it has ended."""
    trip(switch)
    clock.now += 5
    assert (Circuit.HALF_OPEN, 1) == (switch.state, switch.room())
    assert switch.start(b"probe")
    assert 0 == switch.room()
    assert not switch.start(b"other")


def test_a_probe_that_succeeds_closes_it(switch: Switch, clock: Clock) -> None:
    """And its count begins anew."""
    trip(switch)
    clock.now += 5
    switch.start(b"probe")
    switch.succeed(b"probe")
    assert (Circuit.CLOSED, PLENTY) == (switch.state, switch.room())
    switch.fail(b"1", "down")
    assert Circuit.CLOSED == switch.state


def test_a_probe_that_fails_opens_it_again_for_nothing(switch: Switch, clock: Clock) -> None:
    """It costs no attempt, nor does what ends badly while it is open."""
    trip(switch)
    assert switch.fail(b"late", "began before")
    clock.now += 5
    switch.start(b"probe")
    assert switch.fail(b"probe", "down")
    assert (Circuit.OPEN, 5.0) == (switch.state, switch.wait())


def test_a_probe_that_says_nothing_makes_room_for_another(switch: Switch, clock: Clock) -> None:
    """A bad message, or one that was released, tells nothing of the other side."""
    trip(switch)
    clock.now += 5
    switch.start(b"probe")
    switch.forget(b"probe")
    assert (Circuit.HALF_OPEN, 1) == (switch.state, switch.room())
    assert switch.start(b"next")


def test_a_late_success_does_not_close_it(switch: Switch) -> None:
    """It began before the other side went down."""
    trip(switch)
    switch.succeed(b"late")
    assert Circuit.OPEN == switch.state


@given(st.lists(st.sampled_from(["start", "good", "bad", "forget", "tick"]), max_size=80))
def test_never_more_than_one_probe(steps: list[str]) -> None:
    """Whatever happens: while it isn't closed at most one message runs that was started then."""
    clock = Clock()
    switch = Switch(Breaker(failures=1, within=10, open_for=2, share=0), clock)
    running: set[bytes] = set()
    for number, step in enumerate(steps):
        before = switch.state
        key = next(iter(running), b"none")
        if step == "start" and switch.start(name := str(number).encode()):
            assert before is not Circuit.OPEN
            assert before is Circuit.CLOSED or not running
            running = {name} if before is not Circuit.CLOSED else running
        elif step == "good":
            switch.succeed(key)
            running.clear()
        elif step == "bad":
            switch.fail(key, "down")
            running.clear()
        elif step == "forget":
            switch.forget(key)
            running.clear()
        elif step == "tick":
            clock.now += 1
        assert switch.room() in {0, 1, PLENTY}


@pytest.mark.parametrize(
    "wrong", [{"failures": 0}, {"within": 0}, {"open_for": -1}, {"share": 1.5}, {"open_for": math.nan}]
)
def test_a_breaker_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """The error names what must be otherwise."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Breaker(**wrong)


# --- the gate: what a result means for it


def work(gates: Gates, *, attempt: int = 1) -> Work:
    (handler,) = gates._gates
    route = Route("orders", "default", "h")
    claim = Claim(Outcome.RUN, route, b"k", Message(id="1"), attempt=attempt)
    return Work(claim, handler)


def gates(clock: Clock, **settings: Any) -> Gates:
    consumer = Consumer()
    breaker = Breaker(failures=2, share=0, **settings)
    consumer.handler("orders", name="h", breaker=breaker, retry=Retry(attempts=2))(lambda message, ctx: None)
    return Gates(consumer.handlers, clock)


@pytest.mark.parametrize("error", [DeadLetter("no"), UndecodableMessage("no"), RetryLater(1)])
def test_wishes_and_bad_messages_do_not_count(clock: Clock, error: Exception) -> None:
    """They say nothing of the other side."""
    made = gates(clock)
    for _ in range(5):
        made.judge(failed(work(made), error, 0.1))
    assert [] == made.notes()


def test_the_last_attempt_counts_like_any_other(clock: Clock) -> None:
    """Its message is dead, and the other side no better."""
    made = gates(clock)
    results = [made.judge(failed(work(made, attempt=3), ValueError("down"), 0.1)) for _ in range(2)]
    assert [Verdict.DEAD, Verdict.DEAD] == [one.verdict for one in results]
    assert made.notes() == ["circuit breaker of h is open; queue orders waits"]


def test_what_fails_while_open_is_released(clock: Clock) -> None:
    """No attempt, no error kept; but what may have had its effect stays known as that."""
    made = gates(clock)
    for _ in range(2):
        made.judge(failed(work(made), ValueError("down"), 0.1))
    released = made.judge(failed(work(made, attempt=3), ValueError("down"), 0.1))
    assert (Verdict.RELEASE, None) == (released.verdict, released.failure)
    late = failed(work(made), HandlerTimeout("late"), 30)
    late.ambiguous = True
    assert Verdict.RETRY == made.judge(late).verdict


def test_a_crash_stays_a_crash(clock: Clock) -> None:
    """What killed its process is counted by the ledger, open breaker or not, and isn't the other side's fault."""
    made = gates(clock)
    crash = Result(work(made), Verdict.CRASHED, failure=Failure("HandlerDied", "SIGSEGV"))
    for _ in range(5):
        assert Verdict.CRASHED == made.judge(crash).verdict
    assert [] == made.notes()
    for _ in range(2):
        made.judge(failed(work(made), ValueError("down"), 0.1))
    assert Verdict.CRASHED == made.judge(crash).verdict


def test_a_word_from_the_handler_opens_it(clock: Clock) -> None:
    """`CircuitOpen`, at once and at no cost; and the log says so."""
    made = gates(clock)
    with capture_logs() as lines:
        result = made.judge(failed(work(made), CircuitOpen("maintenance"), 0.1))
    assert Verdict.RELEASE == result.verdict
    assert [("circuit breaker open", "CircuitOpen: maintenance")] == [
        (one["event"], one["why"]) for one in lines
    ]


def test_successes_close_it(clock: Clock) -> None:
    """Through the gate, from a result that is done."""
    made = gates(clock, open_for=1)
    for _ in range(2):
        made.judge(failed(work(made), ValueError("down"), 0.1))
    clock.now += 1
    assert made.start(work(made))
    made.judge(Result(work(made), Verdict.DONE))
    assert [] == made.notes()


def test_an_open_breaker_is_told_but_is_no_illness(clock: Clock) -> None:
    """`/healthz` and `/readyz` have a line on it and stay 200: a restart would help nobody."""
    made = gates(clock)
    shared = cast("Shared", SimpleNamespace(gates=made, deaf={}, gave_up="", progress=time.monotonic()))
    health = Health(shared, lambda: True, 30)
    assert [] == health.notes()
    for _ in range(2):
        made.judge(failed(work(made), ValueError("down"), 0.1))
    assert ["circuit breaker of h is open; queue orders waits"] == health.notes()
    assert [] == health.problems()


def test_the_state_is_a_metric(clock: Clock) -> None:
    """Read when scraped: 0 closed, 1 half-open, 2 open."""
    made, metrics = gates(clock, open_for=1), Metrics()
    made.observe(metrics.watch_breaker)

    def level() -> float | None:
        labels = {"queue": "orders", "handler": "h"}
        return metrics.registry.get_sample_value("tickrelay_consumer_breaker_state", labels)

    assert 0 == level()
    for _ in range(2):
        made.judge(failed(work(made), ValueError("down"), 0.1))
    assert 2 == level()
    clock.now += 1
    assert 1 == level()


def test_a_queue_without_gates_costs_a_look(clock: Clock) -> None:
    """Other queues aren't held back."""
    made = gates(clock)
    assert made.room("invoices") == PLENTY
