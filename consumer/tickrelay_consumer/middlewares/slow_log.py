# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A line in the log for each attempt that takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from tickrelay_consumer.context import Context
from tickrelay_consumer.middlewares.composing import Around
from tickrelay_messaging.message import Message

log = structlog.get_logger("tickrelay.consumer")


class SlowLog(Around):
    """
    Warns of attempts that took longer than `seconds`, whether they failed or not.

    Args:
        clock: monotonic seconds, for tests.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock

    @contextmanager
    def around(self, message: Message, ctx: Context) -> Iterator[None]:
        """Times what happens inside."""
        began = self._clock()
        try:
            yield
        finally:
            took = self._clock() - began
            if took > self._seconds:
                log.warning(
                    "slow handler",
                    handler=ctx.route.handler,
                    message=message.id,
                    attempt=ctx.attempt,
                    seconds=round(took, 3),
                )
