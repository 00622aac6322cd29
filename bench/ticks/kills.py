# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What is done to all contestants at the same moments: each scheduler killed in turn, then both at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.ticks.replicas import Killable

ROUND = 36
"""Seconds of one round; it ends with everybody at work."""
_SCRIPT = (
    (2, "kill", (0,)),
    (7, "start", (0,)),
    (12, "kill", (1,)),
    (17, "start", (1,)),
    (22, "kill", (0, 1)),
    (29, "start", (0, 1)),
)
"""Seconds, what, which schedulers; both are away for 7 s and for as long as they take to start."""


def kill_for(seconds: float, contestants: Sequence[Killable]) -> None:
    """Whole rounds of it within so many seconds, and then none."""
    began = time.monotonic()
    for number in range(int(seconds // ROUND)):
        for after, what, numbers in _SCRIPT:
            _sleep_until(began + number * ROUND + after)
            for contestant in contestants:
                (contestant.kill if what == "kill" else contestant.start)(*numbers)
    _sleep_until(began + seconds)


def _sleep_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.monotonic()))
