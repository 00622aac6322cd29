# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ticks in stretches: bounded by a first and a last instant, moved by jitter, gathered in windows.

Windows lie on a grid from 1970-01-01 UTC on, whatever the zone, so every tick is in exactly one, and two schedulers,
or one before and after a restart, agree on all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import isfinite

from tickrelay_airflow.cron.errors import CronError, malformed
from tickrelay_airflow.cron.evaluator import Cron
from tickrelay_airflow.cron.every import length

_MOST = 366 * 86_400
_SECOND = timedelta(seconds=1)
Span = timedelta | str | float
"""A duration: a timedelta, seconds, or text such as ``90s``, ``5m`` or ``1h30m``."""


def span(name: str, value: Span, *, least: int = 0) -> timedelta:
    """A duration in whole milliseconds, at most 366 days.

    Raises:
        CronError: not a duration, or out of range; begins with `name`.
    """
    if isinstance(value, str):
        seconds = length(name, value.strip())
    elif isinstance(value, timedelta):
        seconds = Fraction(value // timedelta(microseconds=1), 1_000_000)
    elif _is_number(value):
        seconds = Fraction(str(value))
    else:
        raise malformed(name, repr(value), "is no duration; write one like 90s, 5m or 1h30m")
    if not least <= seconds <= _MOST or (seconds * 1000).denominator != 1:
        raise malformed(
            name, str(value), f"is outside {least}s to 8784h (366 days), or finer than a millisecond"
        )
    return timedelta(milliseconds=int(seconds * 1000))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def whole_seconds(name: str, value: Span, *, least: int = 0) -> timedelta:
    """A duration in whole seconds.

    Raises:
        CronError: as `span`, and where there are fractions.
    """
    found = span(name, value, least=least)
    if found % _SECOND:
        raise malformed(name, str(value), "is not a whole number of seconds")
    return found


def instant(name: str, value: datetime | str | None) -> datetime | None:
    """An aware instant in UTC; its ISO 8601 text will do.

    Raises:
        CronError: no instant, or one without its offset from UTC; begins with `name`.
    """
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise malformed(
            name, str(value), "is no ISO 8601 instant; write one like 2026-03-08T07:30:00Z"
        ) from None
    if not isinstance(found, datetime) or found.utcoffset() is None:  # type: ignore[redundant-expr]  # untyped callers
        raise malformed(name, str(value), "is no instant with its offset from UTC")
    return datetime.fromtimestamp(datetime.timestamp(found), UTC)


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """A delay for each tick from zero to the most, the same on every machine and at every try."""

    most: timedelta = timedelta(0)
    seed: str = ""

    def of(self, tick: datetime) -> timedelta:
        """The delay of one tick, in whole milliseconds."""
        if not self.most:
            return self.most
        text = f"jitter\0{self.seed}\0{int(datetime.timestamp(tick))}"
        chosen = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return timedelta(milliseconds=chosen % (self.most // timedelta(milliseconds=1) + 1))


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The stretch within which a schedule ticks: ``start <= tick < end``."""

    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse an empty stretch."""
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise CronError(f"end: {self.end} is not after start, {self.start}")


@dataclass(frozen=True)
class Ticks:
    """A cron schedule's ticks within bounds."""

    cron: Cron
    bounds: Bounds

    def at_or_after(self, when: datetime) -> datetime | None:
        """The earliest tick at or after an instant."""
        when = when if self.bounds.start is None else max(when, self.bounds.start)
        found = when if self.cron.matches(when) else self.cron.next(when)
        return self._inside(found)

    def after(self, when: datetime) -> datetime | None:
        """The earliest tick after an instant."""
        if self.bounds.start is not None and when < self.bounds.start:
            return self.at_or_after(self.bounds.start)
        return self._inside(self.cron.next(when))

    def at_or_before(self, when: datetime) -> datetime | None:
        """The latest tick at or before an instant."""
        if self.bounds.end is not None and when >= self.bounds.end:
            return self._inside(self.cron.previous(self.bounds.end))
        return self._inside(when if self.cron.matches(when) else self.cron.previous(when))

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The ticks from `start` up to and without `end`."""
        first = start if self.bounds.start is None else max(start, self.bounds.start)
        last = end if self.bounds.end is None else min(end, self.bounds.end)
        return self.cron.between(first, last)

    def _inside(self, tick: datetime | None) -> datetime | None:
        """The tick, or None if there is none or the bounds leave it out."""
        first, last = self.bounds.start, self.bounds.end
        if tick is None or (first is not None and tick < first) or (last is not None and tick >= last):
            return None
        return tick


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Windows of one length; each is announced `lead` before it begins.

    Attributes:
        length: whole seconds, at least one.
        lead: whole seconds.
    """

    length: timedelta
    lead: timedelta

    def floor(self, when: datetime) -> datetime:
        """When the window begins that holds an instant."""
        width = int(self.length.total_seconds())
        return datetime.fromtimestamp(int(datetime.timestamp(when) // width) * width, UTC)

    def ceiling(self, when: datetime) -> datetime:
        """The first beginning of a window at or after an instant."""
        begin = self.floor(when)
        return begin if begin == when else begin + self.length

    def follow(self, start: datetime, end: datetime) -> datetime:
        """The instant from which ticks count after a run whose data interval was [start, end).

        That's the interval's end plus the lead where it's one of this grid's, and then nothing is missed and nothing
        comes twice. After another schedule's, whose lead nobody knows, some ticks come again rather than being missed:
        they keep their ids. Whatever it was, the next interval begins later than this one.
        """
        if start < end and self.floor(end + self.lead) == end + self.lead:
            return end + self.lead
        end = _whole(end) if start < end else _whole(start) + _SECOND
        return max(end, _whole(start) + _SECOND + self.lead)


def _whole(when: datetime) -> datetime:
    """The first whole second at or after an instant."""
    second = when.replace(microsecond=0)
    return second if second == when else second + _SECOND
