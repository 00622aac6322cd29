# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""At most so many attempts at once: of all a handler's messages, or of those alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tickrelay_consumer.context import Context
from tickrelay_consumer.middlewares.composing import Next
from tickrelay_messaging.errors import ConfigurationError, RetryLater
from tickrelay_messaging.message import Message


def _everything(_message: Message) -> str:
    return ""


class AtMost:
    """
    A semaphore for each value of `by`, within one process (a child process counts for itself).

    A message waits for its turn in its worker, inside the handler's timeout; after `wait` seconds it asks to be tried
    later. Without `by` prefer `Limits(workers=...)`, which keeps nobody waiting.

    Args:
        count: at once.
        by: what messages have in common that share a semaphore, such as `lambda m: m.data["host"]`.
        wait: longest wait for the turn, seconds.
    """

    def __init__(
        self, count: int, *, by: Callable[[Message], object] = _everything, wait: float = 10.0
    ) -> None:
        if count < 1 or not wait >= 0:
            raise ConfigurationError(
                f"AtMost: count must be at least 1 and wait at least 0 s, got {count} and {wait:g}"
            )
        self._count, self._by, self._wait = count, by, wait
        self._lock = threading.Lock()
        self._turns: dict[tuple[object, object], tuple[Any, int]] = {}

    def __call__(self, message: Message, ctx: Context, call: Next) -> Any:
        with self._turn((self._by(message), None), lambda: threading.Semaphore(self._count)) as turn:
            if not turn.acquire(timeout=self._wait):
                raise self._too_many(ctx)
            try:
                return call(message, ctx)
            finally:
                turn.release()

    async def around_async(self, message: Message, ctx: Context, call: Next) -> Any:
        """The same around a coroutine; one event loop's messages share semaphores."""
        key = (self._by(message), id(asyncio.get_running_loop()))
        with self._turn(key, lambda: asyncio.Semaphore(self._count)) as turn:
            try:
                await asyncio.wait_for(turn.acquire(), self._wait)
            except TimeoutError:
                raise self._too_many(ctx) from None
            try:
                return await call(message, ctx)
            finally:
                turn.release()

    @contextmanager
    def _turn(self, key: tuple[object, object], make: Callable[[], Any]) -> Iterator[Any]:
        """The semaphore for these messages, which is forgotten with the last of them: values of `by` may be many."""
        with self._lock:
            turn, users = self._turns.get(key) or (make(), 0)
            self._turns[key] = (turn, users + 1)
        try:
            yield turn
        finally:
            with self._lock:
                turn, users = self._turns.pop(key)
                if users > 1:
                    self._turns[key] = (turn, users - 1)

    def _too_many(self, ctx: Context) -> RetryLater:
        return RetryLater(
            self._wait, f"{ctx.route.handler}: no turn within {self._wait:g} s, {self._count} at once"
        )
