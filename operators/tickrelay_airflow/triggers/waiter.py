# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One coroutine that waits, seen from the threads that work for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tickrelay_airflow.waiting.conditions import Condition, Outcome


@dataclass(eq=False, slots=True)
class Waiter:
    """A condition, and the future of whoever waits for it in an event loop."""

    condition: Condition
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Outcome]

    def fulfil(self, outcome: Outcome) -> None:
        """The wait is over; from any thread."""
        self._call(self._set_result, outcome)

    def fail(self, error: Exception) -> None:
        """It can't ever be over; from any thread."""
        self._call(self._set_exception, error)

    def _call(self, action: Callable[[Any], None], what: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(action, what)

    def _set_result(self, outcome: Outcome) -> None:
        if not self.future.done():
            self.future.set_result(outcome)

    def _set_exception(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
