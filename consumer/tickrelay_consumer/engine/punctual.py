# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Begins works on the dot: they were claimed a moment ahead, so that at their instant nobody has to be asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count

from tickrelay_consumer.engine.work import Work

AHEAD = 0.5
"""Seconds: what a ledger may take to answer. What is claimed can't be revoked any more."""


class Starter:
    """
    Args:
        dispatch: takes works to be carried out.
        now: Unix seconds by the ledger's clock, which instants are told by.
    """

    def __init__(self, dispatch: Callable[[Sequence[Work]], None], now: Callable[[], float]) -> None:
        self._dispatch = dispatch
        self._now = now
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Work]] = []
        self._numbers = count()
        self._stopped = False

    def put(self, works: Sequence[Work]) -> None:
        """Begin those whose instant has come, now, and the others at theirs."""
        early = {id(work): left for work in works if (left := self._left(work)) > 0}
        if early:
            self._keep([(early[id(work)], work) for work in works if id(work) in early])
        if ready := [work for work in works if id(work) not in early]:
            self._dispatch(ready)

    def run(self) -> None:
        """Until stopped; what hasn't begun then is dispatched at once, and so released."""
        while not self._stopped:
            if works := self._next():
                self._dispatch(works)
        self._dispatch_rest()

    def stop(self) -> None:
        """No work begins any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _left(self, work: Work) -> float:
        instant = work.claim.message.deliver_at
        # Bounded, as a clock may have been set back since it was claimed.
        return 0.0 if instant is None else min(AHEAD, instant.timestamp() - self._now())

    def _keep(self, early: Sequence[tuple[float, Work]]) -> None:
        # Counted on by a clock that nobody sets.
        now = time.monotonic()
        with self._changed:
            for left, work in early:
                heappush(self._waiting, (now + left, next(self._numbers), work))
            self._changed.notify()

    def _next(self) -> list[Work]:
        """What is due, after waiting for it; nothing if something changed meanwhile."""
        with self._changed:
            left = self._waiting[0][0] - time.monotonic() if self._waiting else None
            if (left is None or left > 0) and not self._stopped:
                self._changed.wait(left)
            due, now = [], time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                due.append(heappop(self._waiting)[2])
            return due

    def _dispatch_rest(self) -> None:
        with self._changed:
            rest = [work for _, _, work in self._waiting]
            self._waiting.clear()
        if rest:
            self._dispatch(rest)
