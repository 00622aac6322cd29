# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What became of ticks of every schedule in the ledger, counted for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.ledger.schedules import Schedules, TickDecision, TickFilter, TickOutcome

_PAGE = 500
_KEPT = 5_000
"""Numbers remembered: a decision of a slow transaction shows among them after its successors."""


class TickCounts:
    """
    Counts each decision once, from when it was first looked.

    Counting what the ledger holds would go down when it forgets. A schedule's outcomes all begin at zero, so that its
    first misfire is a rise.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seen: set[int] | None = None
        self._schedules: set[str] = set()

    def look(self, schedules: Schedules) -> None:
        """Count what was decided since the last look."""
        first = self._seen is None
        fresh = list(self._fresh(schedules))
        for one in fresh:
            self._introduce(one.schedule)
            if not first:
                self._metrics.ticks.labels(one.schedule, one.outcome.value).inc()
        known = (self._seen or set()) | {one.number for one in fresh}
        self._seen = set(sorted(known)[-_KEPT:])

    def _fresh(self, schedules: Schedules) -> Iterator[TickDecision]:
        """Pages from the newest back to the first that holds nothing new; the first look takes one."""
        after, seen = 0, self._seen or set()
        floor = min(seen, default=0) if len(seen) >= _KEPT else 0
        while page := schedules.list(TickFilter(), after=after, limit=_PAGE):
            fresh = [one for one in page if one.number not in seen and one.number > floor]
            yield from fresh
            after = page[-1].number
            if self._seen is None or not fresh or len(page) < _PAGE:
                return

    def _introduce(self, schedule: str) -> None:
        if schedule not in self._schedules:
            self._schedules.add(schedule)
            for outcome in TickOutcome:
                self._metrics.ticks.labels(schedule, outcome.value)
