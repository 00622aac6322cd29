# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
When an event without messages must follow, so that Airflow makes a run of all that came before.

Airflow 3.3 queues a DAG once for any number of events, with the instant of the first of them, and gives the run the
events up to that instant: those that came between it and the making of the run wait for the next event
(apache/airflow#56050). A lone event is not left behind; of a burst all but the first may be, until something follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable

DELAYS = (3.0, 60.0)
"""
Seconds after the last event of a burst. The second is for a scheduler that needs longer than the first to make a run of
the burst's beginning, as with `max_active_runs` reached.
"""


class FollowUps:
    """
    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        # Whatever was before is unknown: the process before may have ended in the middle of a burst.
        self._due = [self._last + DELAYS[0]]

    def note(self) -> None:
        """An event with messages goes out now."""
        now = self._clock()
        is_burst = bool(self._due) or now < self._last + DELAYS[-1]
        self._last = now
        self._due = [now + delay for delay in DELAYS] if is_burst else []

    def wait(self, longest: float) -> float:
        """Seconds until one is due, at most the longest."""
        return max(0.0, min(longest, self._due[0] - self._clock())) if self._due else longest

    def take(self) -> bool:
        """Whether one is due; it counts as sent."""
        if self._due and self._due[0] <= self._clock():
            del self._due[0]
            return True
        return False
