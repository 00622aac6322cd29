# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
How often a handler may be started, in one process.

Tokens rather than a mean: a start takes one, and it comes back one period after that start. So there are never more
starts than allowed in any period, wherever one begins to count. Who waits is the fetcher: messages stay on the queue.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from tickrelay_messaging.errors import ConfigurationError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = re.compile(r"\s*(\d+)\s*/\s*(\d*)\s*(ms|s|m|h|d)\s*")


@dataclass(frozen=True, slots=True)
class Rate:
    """
    At most `count` starts in any `per` seconds, for each process by itself: three processes do three times as many.

    A burst of `count` at once is within the rate; to spread it, allow fewer in a shorter period (`10/100ms`).
    """

    count: int
    per: float = 1.0

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.per < inf:
            raise ConfigurationError(
                f"Rate: at least 1 start in a period above 0 s, got {self.count} in {self.per:g} s"
            )

    @classmethod
    def of(cls, value: str | Rate) -> Rate:
        """
        From its text form, such as `100/s`, `10/m` or `5/100ms`.

        Raises:
            ConfigurationError: it isn't of that form.
        """
        if isinstance(value, Rate):
            return value
        match = _TEXT.fullmatch(value)
        if match is None:
            raise ConfigurationError(
                f"rate {value!r}: write COUNT/PERIOD with a unit of ms, s, m, h or d, such as 100/s or 5/100ms"
            )
        count, times, unit = match.groups()
        return cls(int(count), int(times or 1) * _UNITS[unit])


class Tokens:
    """
    A rate's tokens in one process. Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._started: deque[float] = deque()

    def free(self) -> int:
        """How many starts are allowed now."""
        with self._lock:
            return self._free()

    def wait(self) -> float:
        """Seconds until the next token comes back; 0 if one is there."""
        with self._lock:
            if self._free():
                return 0.0
            return max(0.0, self._started[0] + self._rate.per - self._clock())

    def take(self) -> bool:
        """Take a token for a start that happens now; False if there is none."""
        with self._lock:
            if not self._free():
                return False
            self._started.append(self._clock())
            return True

    def _free(self) -> int:
        earliest = self._clock() - self._rate.per
        while self._started and self._started[0] <= earliest:
            self._started.popleft()
        return self._rate.count - len(self._started)
