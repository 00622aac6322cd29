# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Days counted from 1970-01-01 = 0: the next and the previous day that the date fields let through.

The search goes month by month through the months that are open at all, at most 2,760 of them, so even an
expression that never matches ends within a millisecond or two.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise

from tickrelay_airflow.cron.days import Days, Shape
from tickrelay_airflow.cron.fields import FIRST_YEAR, LAST_YEAR

_EPOCH = date(1970, 1, 1).toordinal()


def _month_starts() -> tuple[int, ...]:
    months = ((year, month) for year in range(FIRST_YEAR, LAST_YEAR + 1) for month in range(1, 13))
    return *(date(year, month, 1).toordinal() - _EPOCH for year, month in months), _END


_END = date(LAST_YEAR + 1, 1, 1).toordinal() - _EPOCH
"""The first day that no schedule reaches any more."""

_STARTS = _month_starts()
"""The first day of every month, and of the month after the last one."""

_THURSDAY = 3  # 1970-01-01
_SHAPES = tuple(Shape((start + _THURSDAY) % 7, end - start) for start, end in pairwise(_STARTS))


@lru_cache(maxsize=256)
def open_months(months: frozenset[int], years: frozenset[int] | None) -> tuple[int, ...]:
    """The indexes of all months that month and year fields let through; January 1970 is 0."""
    allowed = range(FIRST_YEAR, LAST_YEAR + 1) if years is None else sorted(years)
    return tuple((year - FIRST_YEAR) * 12 + month - 1 for year in allowed for month in sorted(months))


@dataclass(frozen=True)
class Calendar:
    """The days on which a schedule ticks."""

    days: Days
    months: tuple[int, ...]

    def next(self, day: int) -> int:
        """The earliest matching day at or after a day, or -1."""
        if day >= _END:
            return -1
        month = max(bisect_right(_STARTS, day) - 1, 0)
        for position in range(bisect_left(self.months, month), len(self.months)):
            found = self._first(self.months[position], day)
            if found >= 0:
                return found
        return -1

    def previous(self, day: int) -> int:
        """The latest matching day at or before a day, or -1."""
        month = bisect_right(_STARTS, day) - 1
        for position in reversed(range(bisect_right(self.months, month))):
            found = self._last(self.months[position], day)
            if found >= 0:
                return found
        return -1

    def _first(self, month: int, day: int) -> int:
        before = _STARTS[month] - 1
        matching = self.days.of(_SHAPES[month])
        index = bisect_left(matching, day - before)
        return before + matching[index] if index < len(matching) else -1

    def _last(self, month: int, day: int) -> int:
        before = _STARTS[month] - 1
        matching = self.days.of(_SHAPES[month])
        index = bisect_right(matching, day - before)
        return before + matching[index - 1] if index else -1
