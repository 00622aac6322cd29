# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages that aren't worth carrying out: dropped by a rule, or because they are old."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from tickrelay_consumer.context import Context
from tickrelay_consumer.middlewares.composing import Next
from tickrelay_messaging.message import Message

log = structlog.get_logger("tickrelay.consumer")


class Skip:
    """
    Doesn't call the handler for messages that meet a condition: they are done, and a line in the log says so.

    Args:
        when: the condition.
        why: for the log.
    """

    def __init__(self, when: Callable[[Message], bool], why: str = "by a rule") -> None:
        self._when = when
        self._why = why

    def __call__(self, message: Message, ctx: Context, call: Next) -> Any:
        return None if self._is_skipped(message, ctx) else call(message, ctx)

    async def around_async(self, message: Message, ctx: Context, call: Next) -> Any:
        """The same around a coroutine."""
        return None if self._is_skipped(message, ctx) else await call(message, ctx)

    def _is_skipped(self, message: Message, ctx: Context) -> bool:
        skipped = self._when(message)
        if skipped:
            log.info("skipped", message=message.id, handler=ctx.route.handler, why=self._why)
        return skipped


class SkipOlder(Skip):
    """
    Skips what was to be started more than `seconds` ago: at `deliver_at`, else when it was published.

    Args:
        clock: Unix seconds, for tests.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.time) -> None:
        def is_old(message: Message) -> bool:
            instant = message.deliver_at or message.time
            return instant is not None and clock() - instant.timestamp() > seconds

        super().__init__(is_old, f"older than {seconds:g} s")
