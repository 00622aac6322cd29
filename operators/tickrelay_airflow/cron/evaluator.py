# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`Cron`: one expression in one time zone under one daylight-saving policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil, floor
from typing import Protocol, get_args

from tickrelay_airflow.cron.errors import CronError, malformed
from tickrelay_airflow.cron.every import Period, duration
from tickrelay_airflow.cron.parse import Dialect, parse
from tickrelay_airflow.cron.wallclock import Gap, Overlap, WallClock
from tickrelay_airflow.cron.zones import zone


class Rhythm(Protocol):
    """Where ticks lie, as whole seconds since 1970-01-01 UTC."""

    def first(self, at: int) -> int | None:
        """The earliest tick at or after an instant."""

    def last(self, at: int) -> int | None:
        """The latest tick at or before an instant."""


@dataclass(frozen=True)
class Cron:
    """A cron schedule; a pure function of its arguments and the time-zone database.

    Args:
        expression: 5 fields, 6 with the second first, 7 with a year last, a preset, or ``@every 90s``.
        timezone: IANA name of the zone in whose wall time the fields are read.
        gap: what becomes of wall times that daylight saving leaves out: dropped, or moved by its length.
        overlap: whether a fixed wall time in a repeated hour ticks the first time only, or both times.
            Schedules that go on hour by hour (hour field ``*`` or stepping) always tick in both.
        dialect: weekday numbers and how the day fields combine; by default Quartz if there are seconds or
            a ``?``, otherwise Unix.
        seed: chooses the values of ``H``.

    Instants are aware datetimes in UTC, whole seconds, from 1970 to 2199; `None` means there is no further
    tick in that range. Arguments may be in any zone but must be aware (`ValueError` otherwise).

    Raises:
        CronError: the expression, zone or a policy cannot be used; says what to write instead.
    """

    expression: str
    timezone: str = field(default="UTC", kw_only=True)
    gap: Gap = field(default="skip", kw_only=True)
    overlap: Overlap = field(default="first", kw_only=True)
    dialect: Dialect | None = field(default=None, kw_only=True)
    seed: str = field(default="", kw_only=True)
    _rhythm: Rhythm = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every argument and prepare the search."""
        for name in ("expression", "timezone", "seed"):
            _text(name, getattr(self, name))
        _choice("gap", self.gap, get_args(Gap))
        _choice("overlap", self.overlap, get_args(Overlap))
        if self.dialect is not None:
            _choice("dialect", self.dialect, get_args(Dialect))
        object.__setattr__(self, "_rhythm", self._prepare())

    def next(self, after: datetime) -> datetime | None:
        """The first tick strictly after an instant."""
        return _instant(self._rhythm.first(floor(_seconds(after)) + 1))

    def previous(self, before: datetime) -> datetime | None:
        """The last tick strictly before an instant."""
        return _instant(self._rhythm.last(ceil(_seconds(before)) - 1))

    def matches(self, instant: datetime) -> bool:
        """Whether an instant is a tick; fractions of a second never are."""
        second = _seconds(instant)
        return second.is_integer() and self._rhythm.first(int(second)) == int(second)

    def between(self, start: datetime, end: datetime, limit: int | None = None) -> Iterator[datetime]:
        """The ticks of the half-open window `start <= tick < end`, at most `limit` of them."""
        tick, stop = self._rhythm.first(ceil(_seconds(start))), _seconds(end)
        while tick is not None and tick < stop and (limit is None or limit > 0):
            yield datetime.fromtimestamp(tick, UTC)
            limit = None if limit is None else limit - 1
            tick = self._rhythm.first(tick + 1)

    def _prepare(self) -> Rhythm:
        where = zone(self.timezone)
        period = duration(self.expression)
        if period is not None:
            return Period(period)
        plan = parse(self.expression, self.dialect, self.seed)
        return WallClock(plan, where, self.gap == "shift", self.overlap == "first" and not plan.hourly)


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise malformed(name, repr(value), "is not text; pass a str")


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise malformed(name, str(value), f"is not known; write {' or '.join(allowed)}")


def _seconds(instant: datetime) -> float:
    if instant.tzinfo is None:
        raise CronError(f"instant: {instant} has no time zone; pass an aware datetime")
    # The plain method: pendulum's own goes through Python code and is ten times slower.
    return datetime.timestamp(instant)


def _instant(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)
