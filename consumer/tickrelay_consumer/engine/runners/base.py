# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The seam: whatever calls handlers is a `Runner`, in this process, in another, or on another host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from tickrelay_consumer.engine.work import Call, Result

Finish = Callable[[Sequence[Result]], None]
"""Takes results over, from any thread, without blocking."""


class Runner(ABC):
    """
    Carries calls out and hands over one `Result` for each work, as `calling` makes them.

    - Calls of one `put` are begun in their order; how many run at a time is bounded, and so is what it holds.
    - What hasn't begun when `shared.stopping` is set, or what a gate (`calling.admit`) holds back, is a `RELEASE`.
    - An attempt is over at its handler's timeout (`timed_out`), whether what runs can be ended or not. If it can't,
      its result is dropped, and `shared.note_stuck` counts it until it ends.
    - An attempt that ended without a result: `CRASHED` if its end is known to be its message's doing, else `cut_short`.
    """

    @abstractmethod
    def start(self) -> None:
        """Begin; returns at once."""

    @abstractmethod
    def put(self, calls: Sequence[Call]) -> None:
        """Take calls over, all of one handler; from any thread, without blocking."""

    @abstractmethod
    def check_deadlines(self) -> None:
        """Called by the watchdog, at least four times within the shortest timeout."""

    @abstractmethod
    def stop(self, deadline: float) -> None:
        """
        Let what runs end until `deadline` (monotonic seconds), release what hasn't begun.

        Called once, with `shared.stopping` set. What is put afterwards is left, and released with the owner's leave.
        """
