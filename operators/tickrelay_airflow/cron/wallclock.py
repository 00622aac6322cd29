# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Wall-clock schedules on the line of real time: what a daylight-saving change does to them.

Time is cut into spans of constant UTC offset (see `zones`). Inside a span wall time and instants differ by
that offset, so a tick is a matching wall time minus the offset. Only the start of a span needs care:

- the offset grew: the wall times in between do not exist. With ``gap="skip"`` they name no tick. With
  ``gap="shift"`` they are read in the old offset, which moves them by the length of the gap.
- the offset shrank: the wall times in between have been lived through already. A schedule of fixed wall
  times with ``overlap="first"`` leaves them out; all others tick in both passes.

The two readings of a nonexistent or repeated wall time are those of PEP 495.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tickrelay_airflow.cron.parse import Plan
from tickrelay_airflow.cron.zones import Span, Zone

Gap = Literal["skip", "shift"]
Overlap = Literal["first", "both"]

DAY = 86_400
NEVER = 1 << 50
"""Later than every tick; its negative is earlier than every tick."""

FIRST_INSTANT = -DAY
LAST_INSTANT = 7_258_204_800 + DAY
"""2200-01-02; with `FIRST_INSTANT` a day of room for offsets around 1970 to 2199 in local time."""

_AFAR = 2 * DAY
"""No clock change moves a tick this far, so a longer empty stretch may be jumped over."""


@dataclass(frozen=True)
class WallClock:
    """The ticks of a plan in a zone, as whole seconds since 1970-01-01 UTC."""

    plan: Plan
    zone: Zone
    shift: bool
    once: bool

    def first(self, at: int) -> int | None:
        """The earliest tick at or after an instant; none is left after 2199."""
        at = max(at, FIRST_INSTANT)
        while at <= LAST_INSTANT:
            span = self.zone.span(at)
            tick = self._earliest(span, at)
            if tick < span.end:
                return tick
            at = span.end if span.end - at <= _AFAR else max(span.end, tick - _AFAR)
        return None

    def last(self, at: int) -> int | None:
        """The latest tick at or before an instant; there is none before 1970."""
        at = min(at, LAST_INSTANT)
        while at >= FIRST_INSTANT:
            span = self.zone.span(at)
            tick = self._latest(span, at)
            if tick >= span.start:
                return tick
            at = span.start - 1 if at - span.start <= _AFAR else min(span.start - 1, tick + _AFAR)
        return None

    def _earliest(self, span: Span, at: int) -> int:
        """The first tick at or after `at` by the offset of a span; beyond its end only a lower bound."""
        start, _, offset, before = span
        if offset == before:
            return self._next_wall(at + offset) - offset
        lowest = start + before if self.once and offset < before else start + offset
        tick = self._next_wall(max(at + offset, lowest)) - offset
        if self.shift and at < start + offset - before:
            moved = self._next_wall(at + before) - before
            return min(tick, moved) if moved < start + offset - before else tick
        return tick

    def _latest(self, span: Span, at: int) -> int:
        """The last tick at or before `at` by the offset of a span; before its start only an upper bound."""
        start, _, offset, before = span
        tick = self._previous_wall(at + offset) - offset
        if offset == before:
            return tick
        if self.once and start <= tick < start + before - offset:
            return start - 1
        if self.shift and offset > before:
            moved = self._previous_wall(min(at, start + offset - before - 1) + before) - before
            return max(tick, moved) if moved >= start else tick
        return tick

    def _next_wall(self, wall: int) -> int:
        day, second = divmod(wall, DAY)
        clock = self.plan.clock
        if second > clock.last:
            day, second = day + 1, 0
        found = self.plan.calendar.next(day)
        if found < 0:
            return NEVER
        return found * DAY + (clock.next(second) if found == day else clock.first)

    def _previous_wall(self, wall: int) -> int:
        day, second = divmod(wall, DAY)
        clock = self.plan.clock
        if second < clock.first:
            day, second = day - 1, DAY - 1
        found = self.plan.calendar.previous(day)
        if found < 0:
            return -NEVER
        return found * DAY + (clock.previous(second) if found == day else clock.last)
