# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`CronSchedule`: Airflow runs on ticks of our own cron evaluator."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from tickrelay_airflow.cron import Cron, CronError, Dialect, Gap, Overlap, describe
from tickrelay_airflow.cron.windows import (
    Bounds,
    Grid,
    Jitter,
    Span,
    Ticks,
    instant,
    span,
    whole_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.timetables.base import TimeRestriction
    from airflow.utils.types import DagRunType
    from pendulum import DateTime

__all__ = ["CronSchedule"]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC) - timedelta(days=1)
_ENDING = datetime(2201, 1, 1, tzinfo=UTC)
"""Beyond every tick, and far enough from a datetime's own limits to reckon with."""
_CRON = ("timezone", "gap", "overlap", "dialect", "seed")
_ALL = (*_CRON, "window", "lead", "jitter", "start", "end")


class CronSchedule(Timetable):
    """
    Runs on the ticks of a cron expression: one run per tick, or one per window of ticks that are published ahead.

    Without `window`, data interval, logical date and run-after are the tick. With it a run's ticks are those of a
    window [W, W + window) on a grid from 1970 on, announced `lead` before: the data interval is
    [W - lead, W - lead + window), logical date and run-after are its start, since Airflow holds a run whose logical
    date lies ahead. A window without ticks makes no run. A manual run is one tick: now.

    Whether missed ticks are caught up is the DAG's `catchup`, as with Airflow's own timetables: with it every
    tick (or window) gets its run, without it only the latest one, and everything still ahead.

    It reads no files, database or settings and, apart from the clock when catchup is off, depends on its
    arguments only. All that can be wrong is found in the constructor, where Airflow shows an import error.

    Args:
        expression: 5 fields, 6 with the second FIRST, 7 with a year last, a preset, or ``@every 90s``.
        timezone: IANA name of the zone of the fields, or a zone object that has one.
        gap: what becomes of wall times that daylight saving leaves out: ``skip`` or ``shift``.
        overlap: whether fixed wall times in a repeated hour tick ``first`` only or ``both`` times.
        dialect: ``unix`` or ``quartz``; by default Quartz if there are seconds or a ``?``.
        seed: chooses the values of ``H`` and of `jitter`; usually the DAG id.
        window: length of a window in whole seconds: a timedelta, seconds, or text such as ``1m``.
        lead: how long before its window a run comes; a scheduler that is slow or down for less delays nothing.
        jitter: the most by which a tick is delayed; only `seed` and the tick decide by how much. It moves run-after, or
            with `window` when the messages are delivered, never the logical date.
        start: no tick before this aware instant (or its ISO text).
        end: no tick at or after this one.

    Raises:
        CronError: an argument cannot be used, or the schedule would never tick.
    """

    def __init__(  # noqa: PLR0913 - a schedule is its keywords
        self,
        expression: str,
        *,
        timezone: str | tzinfo = "UTC",
        gap: Gap = "skip",
        overlap: Overlap = "first",
        dialect: Dialect | None = None,
        seed: str = "",
        window: Span | None = None,
        lead: Span = 0,
        jitter: Span = 0,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
    ) -> None:
        """Check the arguments and put the schedule into words."""
        self._cron = Cron(
            expression, timezone=str(timezone), gap=gap, overlap=overlap, dialect=dialect, seed=seed
        )
        self._jitter = Jitter(most=span("jitter", jitter), seed=seed)
        self._bounds = Bounds(start=instant("start", start), end=instant("end", end))
        self._ticks = Ticks(self._cron, self._bounds)
        self._grid = _grid(window, lead)
        self._check()
        self.description = self._words()

    @property
    def cron(self) -> Cron:
        """The evaluator behind this timetable."""
        return self._cron

    @property
    def is_windowed(self) -> bool:
        """Whether its runs stand for windows of ticks ahead rather than for one tick each."""
        return self._grid is not None

    @property
    def lead(self) -> timedelta:
        """How long before its window a run comes; zero without windows."""
        return self._grid.lead if self._grid else timedelta(0)

    @property
    def summary(self) -> str:
        """The expression as written."""
        return self._cron.expression

    @property
    def fingerprint(self) -> str:
        """What tells this form of the schedule from another: equal for equal ticks, runs and delays."""
        written = json.dumps(self.serialize(), sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:16]

    def ticks_of(self, data_interval: DataInterval) -> Iterator[datetime]:
        """
        The ticks that a run with this data interval stands for, in UTC; of an instant, as a manual run has, that one.

        Those of a window are the interval's plus the lead.
        """
        begin, end = self.stretch_of(data_interval)
        return iter((begin,)) if begin == end else self._ticks.between(begin, end)

    def stretch_of(self, data_interval: DataInterval) -> tuple[datetime, datetime]:
        """
        Where the stretch of time begins and ends whose ticks a run with this data interval stands for, in UTC.

        An interval that isn't one of this grid's was made by a scheduler that had another form of the schedule, whose
        lead nobody knows: some ticks are published again then, under their ids, rather than left out.
        """
        start, end = _plain(data_interval.start), _plain(data_interval.end)
        if start == end or self._grid is None:
            return start, end
        is_own = self._grid.floor(end + self.lead) == end + self.lead
        return (start + self.lead if is_own else start), end + self.lead

    def due_of(self, tick: datetime) -> datetime:
        """When a tick's work is to begin: the tick, delayed by its jitter. What revocations of messages go by."""
        return tick + self._jitter.of(tick)

    def next_tick(self, after: datetime) -> datetime | None:
        """The first tick after an instant, or None."""
        return self._ticks.after(_plain(after))

    def serialize(self) -> dict[str, Any]:
        """The arguments, as plain text; those about windows, jitter and bounds only where they say something."""
        written: dict[str, Any] = {"expression": self._cron.expression}
        written |= {name: getattr(self._cron, name) for name in _CRON}
        if self._grid is not None:
            written |= {"window": _text(self._grid.length), "lead": _text(self._grid.lead)}
        if self._jitter.most:
            written["jitter"] = _text(self._jitter.most)
        for name in ("start", "end"):
            if (bound := getattr(self._bounds, name)) is not None:
                written[name] = bound.isoformat()
        return written

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> CronSchedule:
        """The timetable that `serialize` described; absent arguments have their defaults."""
        return cls(data["expression"], **{name: data[name] for name in _ALL if name in data})

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A manual run happens now: its interval is the instant it was asked for."""
        return DataInterval.exact(run_after)

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        run_after: DateTime,
        data_interval: DataInterval | None,
        **extra: Any,
    ) -> str:
        """Named after run-after as usual; under jitter after the tick, as two delayed ticks may meet."""
        if self._jitter.most and data_interval is not None:
            run_after = data_interval.start
        return super().generate_run_id(
            run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
        )

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """The next run within the DAG's start and end dates, or None when no tick is left."""
        last = last_automated_data_interval
        return (
            self._next_tick(last, restriction)
            if self._grid is None
            else self._next_window(self._grid, last, restriction)
        )

    def _next_tick(self, last: DataInterval | None, restriction: TimeRestriction) -> DagRunInfo | None:
        starts = list(self._starts(last, restriction))
        if None in starts:
            return None
        tick = max(start for start in starts if start is not None)
        if restriction.latest is not None and tick > restriction.latest:
            return None
        return DagRunInfo(
            run_after=_moment(self.due_of(tick)), data_interval=DataInterval.exact(_moment(tick))
        )

    def _starts(self, last: DataInterval | None, restriction: TimeRestriction) -> Iterator[datetime | None]:
        """Ticks that the next run must not be earlier than; None as soon as there is no such tick."""
        now = datetime.now(UTC)
        if last is not None:
            yield self._ticks.after(_plain(last.end))
        elif restriction.earliest is None:
            yield self._ticks.after(now)
        if restriction.earliest is not None and (last is None or not restriction.catchup):
            yield self._ticks.at_or_after(_plain(restriction.earliest))
        # One that is late by no more than its jitter isn't missed.
        latest = self._ticks.at_or_before(now - self._jitter.most)
        if not restriction.catchup and latest is not None:
            yield latest

    def _next_window(
        self, grid: Grid, last: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        begin = max(self._beginnings(grid, last, restriction))
        tick = self._ticks.at_or_after(begin)
        if tick is None:
            return None
        window = grid.floor(tick)
        start = max(window, begin) - grid.lead
        if restriction.latest is not None and start > restriction.latest:
            return None
        interval = DataInterval(_moment(start), _moment(window + grid.length - grid.lead))
        return DagRunInfo(run_after=interval.start, data_interval=interval)

    def _beginnings(
        self, grid: Grid, last: DataInterval | None, restriction: TimeRestriction
    ) -> Iterator[datetime]:
        """Instants that the next run's ticks must not be earlier than."""
        now = datetime.now(UTC)
        if last is not None:
            yield grid.follow(_plain(last.start), _plain(last.end))
        elif restriction.earliest is None:
            yield now.replace(microsecond=0) + timedelta(seconds=1)
        if restriction.earliest is not None and (last is None or not restriction.catchup):
            yield grid.ceiling(_plain(restriction.earliest) + grid.lead)
        latest = self._ticks.at_or_before(now - self._jitter.most)
        if not restriction.catchup and latest is not None:
            yield grid.floor(latest)

    def _check(self) -> None:
        first = self._ticks.at_or_after(_BEGINNING)
        if first is None:
            told = f"expression: '{self._cron.expression}' never ticks"
            within = "no such time exists from 1970 to 2199"
            if self._bounds != Bounds():
                within = (
                    f"no such time exists from {self._bounds.start or 1970} to {self._bounds.end or 2199}"
                )
            raise CronError(f"{told}; {within}")
        if self._jitter.most and not self._cron.seed:
            raise CronError(
                "seed: jitter needs one, such as the DAG's id, or all schedules were delayed alike"
            )

    def _words(self) -> str:
        words = describe(self._cron.expression, dialect=self._cron.dialect, seed=self._cron.seed)
        where = "" if self._cron.timezone == "UTC" else f" ({self._cron.timezone})"
        if self._grid is None:
            return words + where
        return f"{words}{where}; in windows of {_text(self._grid.length)}, {_text(self._grid.lead)} ahead"

    def __eq__(self, other: object) -> bool:
        """Timetables are equal when all their arguments are."""
        return self._parts() == other._parts() if isinstance(other, CronSchedule) else NotImplemented

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash(self._parts())

    def _parts(self) -> tuple[object, ...]:
        return self._cron, self._jitter, self._bounds, self._grid


def _grid(window: Span | None, lead: Span) -> Grid | None:
    before = whole_seconds("lead", lead)
    if window is not None:
        return Grid(length=whole_seconds("window", window, least=1), lead=before)
    if before:
        raise CronError("lead: has no meaning without window=, the length of what is published ahead")
    return None


def _text(length: timedelta) -> str:
    """As `span` reads it."""
    milliseconds = length // timedelta(milliseconds=1)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _plain(when: datetime) -> datetime:
    """In UTC, and near enough for schedules to reckon with."""
    if when < _BEGINNING:
        return _BEGINNING
    return min(datetime.fromtimestamp(datetime.timestamp(when), UTC), _ENDING)


def _moment(when: datetime) -> DateTime:
    return pendulum.instance(when).in_timezone(pendulum.UTC)
