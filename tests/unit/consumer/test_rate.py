# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Rates: what is written, and that no period ever has more starts than allowed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickrelay_consumer import Consumer
from tickrelay_consumer.gates import Gates
from tickrelay_consumer.rate import Rate, Tokens
from tickrelay_messaging.errors import ConfigurationError


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100/s", (100, 1)),
        ("10/m", (10, 60)),
        (" 5 / 100ms ", (5, 0.1)),
        ("1/2h", (1, 7200)),
        ("3/d", (3, 86400)),
    ],
)
def test_a_rate_is_read(text: str, expected: tuple[int, float]) -> None:
    """A count, and a period with or without a number."""
    assert Rate(*expected) == Rate.of(text)


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1.5/s", "10/0s", "10/week", "ten/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """The error says how to write one."""
    with pytest.raises(ConfigurationError, match=r"(?i)rate"):
        Rate.of(text)


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0), (1, math.inf), (1, math.nan)])
def test_a_rate_that_makes_no_sense_is_refused(wrong: tuple[int, float]) -> None:
    """At least one, in a period above nothing."""
    with pytest.raises(ConfigurationError):
        Rate(*wrong)


@given(
    st.integers(1, 5),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.lists(st.one_of(st.none(), st.floats(0, 2)), max_size=200),
)
def test_no_period_has_more_starts_than_allowed(count: int, per: float, steps: list[float | None]) -> None:
    """Wherever it begins; and whoever waited as long as told gets a token."""
    clock = Clock()
    tokens = Tokens(Rate(count, per), clock)
    starts: list[float] = []
    for step in steps:
        if step is not None:
            clock.now += step
        elif tokens.take():
            starts.append(clock.now)
        else:
            assert tokens.wait() > 0
            clock.now = math.nextafter(clock.now + tokens.wait(), math.inf)
            assert tokens.free() >= 1 or tokens.wait() < 1e-9
    for first in starts:
        assert sum(first <= other < first + per - 1e-9 for other in starts) <= count


def test_a_burst_then_a_wait() -> None:
    """All tokens at once, none until the first comes back, and then as many as came back."""
    clock = Clock()
    tokens = Tokens(Rate(3, 10), clock)
    assert [True, True, True, False] == [tokens.take() for _ in range(4)]
    clock.now += 4
    assert (0, 6.0) == (tokens.free(), tokens.wait())
    clock.now += 6
    assert (3, 0.0) == (tokens.free(), tokens.wait())


def test_claimed_messages_count_against_the_room() -> None:
    """What is in hand and not begun has its token; begun or given up, it doesn't count twice."""
    consumer = Consumer()
    consumer.handler("orders", name="h", rate="3/s")(lambda message, ctx: None)
    clock = Clock()
    gate = next(iter(Gates(consumer.handlers, clock)._gates.values()))
    gate.book([b"1", b"2"])
    assert 1 == gate.room()
    assert gate.start(b"1")
    assert 1 == gate.room()
    gate.forget([b"2"])
    assert 2 == gate.room()
    clock.now += 1
    assert 3 == gate.room()


def test_without_a_rate_there_is_always_room() -> None:
    """And no gate at all."""
    consumer = Consumer()
    consumer.handler("orders", name="h")(lambda message, ctx: None)
    gates = Gates(consumer.handlers)
    assert not gates
    assert gates.room("orders") > 1e6
    assert gates.room_for(consumer.handlers[0]) > 1e6
