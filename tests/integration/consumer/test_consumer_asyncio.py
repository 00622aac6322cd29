# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A whole consumer with async handlers, over a real queue and ledger."""

from __future__ import annotations

import asyncio
from collections import Counter

from consumer_lab import QUEUE, Lab, until

from tickrelay_consumer import Context, Message, Retry


def test_async_handlers_carry_everything_out(lab: Lab) -> None:
    """Many at a time; a failure is retried, a hanging one is cancelled, and the others don't wait for it."""
    consumer = lab.consumer()
    seen: Counter[object] = Counter()

    @consumer.handler(QUEUE, timeout=0.5, retry=Retry(first=0.02, factor=1, attempts=1))
    async def take(message: Message, ctx: Context) -> None:
        seen[message.data] += 1
        await asyncio.sleep(60 if message.data == 5 else 0.05)
        if message.data == 6 and ctx.attempt == 1:
            raise ValueError("once")

    lab.publish_many(300)
    with lab.running(consumer):
        until(lambda: lab.done("take") == 299 and lab.dead(), "all but one")
        until(lab.is_idle, "acknowledged")
    (dead,) = lab.dead()
    assert "HandlerTimeout" in dead.error
    assert {5: 2, 6: 2} == {data: times for data, times in seen.items() if times != 1}
