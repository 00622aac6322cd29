# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A rate in a whole consumer: never more starts than allowed in any period, and what waits, waits on the queue."""

from __future__ import annotations

import time
from functools import partial

from consumer_lab import QUEUE, Lab
from consumer_lab import until as until_within

from tickrelay_consumer import Context, Message, Retry

until = partial(until_within, within=60)
PERIOD = 0.5


def is_within(starts: list[float], began: float, count: int) -> bool:
    """Whether each start came as late as it had to; that no period has more is held with a clock of its own."""
    return all(at - began >= number // count * PERIOD for number, at in enumerate(sorted(starts)))


def test_starts_keep_to_the_rate(lab: Lab) -> None:
    """Twenty in half a second; most of the rest is still on the queue, for others to take."""
    consumer = lab.consumer(workers=4)
    starts: list[float] = []

    @consumer.handler(QUEUE, rate="20/500ms")
    def take(message: Message, ctx: Context) -> None:
        starts.append(time.monotonic())

    lab.publish_many(70)
    began = time.monotonic()
    with lab.running(consumer):
        until(lambda: len(starts) >= 20, "the first period")
        assert lab.on_queue()[0] >= 10
        until(lambda: lab.done("take") == 70, "all done")
    assert is_within(starts, began, 20)


def test_retries_count_too(lab: Lab) -> None:
    """What is due asks for a token like what is new; neither starves the other."""
    consumer = lab.consumer(workers=2)
    starts: list[float] = []

    @consumer.handler(QUEUE, rate="10/500ms", retry=Retry(first=0.01, factor=1, attempts=2))
    def take(message: Message, ctx: Context) -> None:
        starts.append(time.monotonic())
        if ctx.attempt == 1:
            raise ValueError("again")

    lab.publish_many(20)
    began = time.monotonic()
    with lab.running(consumer):
        until(lambda: lab.done("take") == 20, "all done")
    assert 40 == len(starts)
    assert is_within(starts, began, 10)
