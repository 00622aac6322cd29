# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages for later begin at their instants, which their claims don't wait for."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from consumer_lab import QUEUE, Lab, until

from tickrelay_consumer import Consumer, Context, Message


@pytest.mark.parametrize("effect", ["external", "transaction"])
def test_never_before_their_instants(lab: Lab, effect: str) -> None:
    """Forty messages within a second, two at an instant: each is carried out once, at its first attempt."""
    begun: list[tuple[str, float, int]] = []
    consumer = lab.consumer()

    @consumer.handler(QUEUE, effect=effect)
    def note(message: Message, ctx: Context) -> None:
        begun.append((message.id, time.time(), ctx.attempt))

    start = datetime.now(UTC) + timedelta(seconds=1)
    due = {f"m{n}": start + timedelta(milliseconds=n // 2 * 50) for n in range(40)}
    with lab.running(consumer):
        lab.publish(*(Message.of(None, id=name, deliver_at=at) for name, at in due.items()))
        until(lambda: len(begun) == len(due), "all are carried out")
    assert set(due) == {name for name, _, _ in begun}
    assert {1} == {attempt for _, _, attempt in begun}
    assert [] == [(name, at) for name, at, _ in begun if at < due[name].timestamp() - 0.001]


def test_stopping_with_work_that_was_claimed_ahead(lab: Lab) -> None:
    """It is given back at no attempt's cost, and its next consumer waits for its instant too."""
    due = datetime.now(UTC) + timedelta(seconds=2)
    ids = lab.publish(*(Message.of(number, deliver_at=due) for number in range(10)))
    begun: list[tuple[str, float]] = []
    while time.time() < due.timestamp():
        with lab.running(_noting(lab, begun)):
            until(lambda: lab.stats("note").waiting + lab.stats("note").claimed == 10 or begun, "it has them")
    with lab.running(_noting(lab, begun)):
        until(lambda: len(begun) == 10, "all are carried out")
    assert Counter(ids) == Counter(name for name, _ in begun)
    assert (0, 0) == (lab.stats("note").retried, lab.stats("note").crashes)
    assert min(at for _, at in begun) >= due.timestamp() - 0.001


def _noting(lab: Lab, begun: list[tuple[str, float]]) -> Consumer:
    consumer = lab.consumer()

    @consumer.handler(QUEUE)
    def note(message: Message, ctx: Context) -> None:
        begun.append((message.id, time.time()))

    return consumer
