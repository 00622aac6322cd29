# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Times of day: the next and the previous second of a day that hour, minute and second fields let through.

Each field becomes a table that answers "nearest value from here on" for every value, so that a search is a
few look-ups whatever the expression. Seconds of the day count from 0 to 86399; -1 means none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

Table = tuple[int, ...]
"""One entry per value of a field plus a last -1, reached as `table[size]` and as `table[-1]`."""


@lru_cache(maxsize=4096)
def upward(allowed: frozenset[int], size: int) -> Table:
    """For each value the smallest allowed one at or above it, else -1."""
    table = [-1] * (size + 1)
    for value in reversed(range(size)):
        table[value] = value if value in allowed else table[value + 1]
    return tuple(table)


@lru_cache(maxsize=4096)
def downward(allowed: frozenset[int], size: int) -> Table:
    """For each value the largest allowed one at or below it, else -1."""
    table = [-1] * (size + 1)
    for value in range(size):
        table[value] = value if value in allowed else table[value - 1]
    return tuple(table)


@dataclass(frozen=True)
class Clock:
    """The times of day on which a schedule ticks."""

    hours: frozenset[int]
    minutes: frozenset[int]
    seconds: frozenset[int]
    first: int = field(init=False)
    """The earliest of them, in seconds of the day."""
    last: int = field(init=False)
    """The latest of them, in seconds of the day."""
    _up: tuple[Table, Table, Table] = field(init=False, repr=False, compare=False)
    _down: tuple[Table, Table, Table] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the tables; equal fields of other schedules share them."""
        parts = (self.hours, 24), (self.minutes, 60), (self.seconds, 60)
        put = object.__setattr__
        put(self, "_up", tuple(upward(allowed, size) for allowed, size in parts))
        put(self, "_down", tuple(downward(allowed, size) for allowed, size in parts))
        put(self, "first", min(self.hours) * 3600 + min(self.minutes) * 60 + min(self.seconds))
        put(self, "last", max(self.hours) * 3600 + max(self.minutes) * 60 + max(self.seconds))

    def next(self, at: int) -> int:
        """The earliest tick at or after a second of the day, or -1."""
        hours, minutes, seconds = self._up
        hour, rest = divmod(at, 3600)
        if hours[hour] == hour:
            minute, second = divmod(rest, 60)
            found = seconds[second]
            if minutes[minute] == minute and found >= 0:
                return at - second + found
            later = minutes[minute + 1]
            if later >= 0:
                return hour * 3600 + later * 60 + seconds[0]
            hour += 1
        hour = hours[hour]
        return hour * 3600 + minutes[0] * 60 + seconds[0] if hour >= 0 else -1

    def previous(self, at: int) -> int:
        """The latest tick at or before a second of the day, or -1."""
        hours, minutes, seconds = self._down
        hour, rest = divmod(at, 3600)
        if hours[hour] == hour:
            minute, second = divmod(rest, 60)
            found = seconds[second]
            if minutes[minute] == minute and found >= 0:
                return at - second + found
            earlier = minutes[minute - 1]
            if earlier >= 0:
                return hour * 3600 + earlier * 60 + seconds[59]
            hour -= 1
        hour = hours[hour]
        return hour * 3600 + minutes[59] * 60 + seconds[59] if hour >= 0 else -1
