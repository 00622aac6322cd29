# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A circuit breaker for a handler whose other side may be down.

Closed, everything flows. Enough failures open it: the handler's queue isn't fetched, what is due isn't claimed, what
hasn't begun is given back. After a while it is half-open: one message is let through as a probe, and its success
closes the breaker, its failure opens it again. What fails while it isn't closed costs no attempt.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tickrelay_messaging.errors import ConfigurationError, HandlerSignal

PLENTY = 1 << 30
"""As much room as anybody could ask for."""


class CircuitOpen(HandlerSignal):
    """
    Raised by a handler that knows its other side is down: opens its breaker at once and costs no attempt.

    Without a breaker it is a failure like any other.
    """

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """
    When a handler is left alone for a while.

    Attributes:
        failures: so many failed attempts open it...
        within: ...that ended within so many seconds...
        share: ...if at least this part of the attempts that ended then failed.
        open_for: seconds until a probe is let through.
    """

    failures: int = 5
    within: float = 30.0
    open_for: float = 10.0
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 <= self.share <= 1:
            raise ConfigurationError(
                "Breaker: failures must be at least 1 and share from 0 to 1, "
                f"got {self.failures} and {self.share:g}"
            )
        if not (self.within > 0 and self.open_for > 0):
            raise ConfigurationError(
                f"Breaker: within and open_for must be above 0 s, got {self.within:g} and {self.open_for:g}"
            )


class Circuit(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Switch:
    """
    A breaker at work in one process. Thread-safe.

    Args:
        clock: monotonic seconds.
        tell: called with the new state and why, at each change.
    """

    def __init__(
        self,
        breaker: Breaker,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[Circuit, str], None] = lambda _state, _why: None,
    ) -> None:
        self._breaker = breaker
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._ended: deque[tuple[float, int, int]] = deque()
        self._until: float | None = None
        self._probe: bytes | None = None

    @property
    def state(self) -> Circuit:
        """Where it stands now."""
        with self._lock:
            return self._state()

    def room(self) -> int:
        """How many messages may be taken now."""
        with self._lock:
            state = self._state()
            if state is Circuit.HALF_OPEN:
                return 0 if self._probe is not None else 1
            return PLENTY if state is Circuit.CLOSED else 0

    def wait(self) -> float:
        """Seconds until it lets a probe through; 0 if it is closed or does already."""
        with self._lock:
            return max(0.0, self._until - self._clock()) if self._until is not None else 0.0

    def start(self, key: bytes) -> bool:
        """Whether this message may begin now; while half-open the first that asks is the probe."""
        with self._lock:
            state = self._state()
            if state is Circuit.HALF_OPEN and self._probe is None:
                self._probe = key
                return True
            return state is Circuit.CLOSED

    def succeed(self, key: bytes, count: int = 1) -> None:
        """Attempts ended well; a probe's success closes the breaker."""
        with self._lock:
            if self._until is None:
                self._count(count, 0)
            elif key == self._probe:
                self._until = self._probe = None
                self._ended.clear()
                self._tell(Circuit.CLOSED, "the probe succeeded")

    def fail(self, key: bytes, why: str, *, at_once: bool = False) -> bool:
        """
        An attempt failed.

        Args:
            at_once: open without counting.

        Returns:
            whether this attempt shall cost nothing: it ended while the breaker wasn't closed, or opened it `at_once`.
        """
        with self._lock:
            if self._until is not None:
                if key == self._probe:
                    self._open(f"the probe failed: {why}")
                return True
            self._count(0, 1)
            if at_once or self._is_too_much():
                self._open(why)
            return at_once

    def forget(self, key: bytes) -> None:
        """A message's end said nothing about the other side; if it was the probe, another may be."""
        with self._lock:
            if key == self._probe:
                self._probe = None

    def _state(self) -> Circuit:
        if self._until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self._clock() < self._until else Circuit.HALF_OPEN

    def _open(self, why: str) -> None:
        self._until = self._clock() + self._breaker.open_for
        self._probe = None
        self._ended.clear()
        self._tell(Circuit.OPEN, why)

    def _count(self, good: int, bad: int) -> None:
        """In steps of a hundredth of the window, so that a fast handler's window stays small."""
        now, step = self._clock(), self._breaker.within / 100
        if self._ended and now - self._ended[-1][0] < step:
            at, goods, bads = self._ended.pop()
            self._ended.append((at, goods + good, bads + bad))
        else:
            self._ended.append((now, good, bad))
        while self._ended[0][0] <= now - self._breaker.within:
            self._ended.popleft()

    def _is_too_much(self) -> bool:
        good = sum(good for _, good, _ in self._ended)
        bad = sum(bad for _, _, bad in self._ended)
        return bad >= self._breaker.failures and bad >= self._breaker.share * (good + bad)
