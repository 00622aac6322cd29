# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`CronSchedule`: Airflow runs on ticks of our own cron evaluator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from tickrelay_airflow.cron import Cron, CronError, Dialect, Gap, Overlap, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.timetables.base import TimeRestriction
    from pendulum import DateTime

__all__ = ["CronSchedule"]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC) - timedelta(days=1)


class CronSchedule(Timetable):
    """One run per tick of a cron expression; data interval, logical date and run-after are the tick.

    Whether missed ticks are caught up is the DAG's `catchup`, as with Airflow's own timetables: with it every
    tick gets its run, without it only the latest one.

    It reads no files, database or settings and, apart from the clock when catchup is off, depends on its
    arguments only. All that can be wrong is found in the constructor, where Airflow shows an import error.

    Args:
        expression: 5 fields, 6 with the second FIRST, 7 with a year last, a preset, or ``@every 90s``.
        timezone: IANA name of the zone of the fields, or a zone object that has one.
        gap: what becomes of wall times that daylight saving leaves out: ``skip`` or ``shift``.
        overlap: whether fixed wall times in a repeated hour tick ``first`` only or ``both`` times.
        dialect: ``unix`` or ``quartz``; by default Quartz if there are seconds or a ``?``.
        seed: chooses the values of ``H``; usually the DAG id.

    Raises:
        CronError: an argument cannot be used, or the schedule would never tick.
    """

    def __init__(
        self,
        expression: str,
        *,
        timezone: str | tzinfo = "UTC",
        gap: Gap = "skip",
        overlap: Overlap = "first",
        dialect: Dialect | None = None,
        seed: str = "",
    ) -> None:
        """Check the arguments and put the schedule into words."""
        self._cron = Cron(
            expression, timezone=str(timezone), gap=gap, overlap=overlap, dialect=dialect, seed=seed
        )
        if self._cron.next(_BEGINNING) is None:
            raise CronError(f"expression: '{expression}' never ticks; no such time exists from 1970 to 2199")
        self.description = self._words()

    @property
    def cron(self) -> Cron:
        """The evaluator behind this timetable."""
        return self._cron

    @property
    def summary(self) -> str:
        """The expression as written."""
        return self._cron.expression

    def serialize(self) -> dict[str, Any]:
        """The arguments, as plain text."""
        return {
            "expression": self._cron.expression,
            "timezone": self._cron.timezone,
            "gap": self._cron.gap,
            "overlap": self._cron.overlap,
            "dialect": self._cron.dialect,
            "seed": self._cron.seed,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> CronSchedule:
        """The timetable that `serialize` described; absent arguments have their defaults."""
        known = ("timezone", "gap", "overlap", "dialect", "seed")
        return cls(data["expression"], **{name: data[name] for name in known if name in data})

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A manual run happens now: its interval is the instant it was asked for."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """The next run within the DAG's start and end dates, or None when no tick is left."""
        starts = list(self._starts(last_automated_data_interval, restriction))
        if None in starts:
            return None
        tick = max(start for start in starts if start is not None)
        if restriction.latest is not None and tick > restriction.latest:
            return None
        return DagRunInfo.exact(pendulum.instance(tick).in_timezone(pendulum.UTC))

    def _starts(self, last: DataInterval | None, restriction: TimeRestriction) -> Iterator[datetime | None]:
        """Ticks that the next run must not be earlier than; None as soon as there is no such tick."""
        now = datetime.now(UTC)
        if last is not None:
            yield self._cron.next(last.end)
        elif restriction.earliest is None:
            yield self._cron.next(now)
        if restriction.earliest is not None and (last is None or not restriction.catchup):
            yield self._at_or_after(restriction.earliest)
        if not restriction.catchup and (latest := self._at_or_before(now)) is not None:
            yield latest

    def _at_or_after(self, instant: datetime) -> datetime | None:
        return instant if self._cron.matches(instant) else self._cron.next(instant)

    def _at_or_before(self, instant: datetime) -> datetime | None:
        return instant if self._cron.matches(instant) else self._cron.previous(instant)

    def _words(self) -> str:
        words = describe(self._cron.expression, dialect=self._cron.dialect, seed=self._cron.seed)
        return words if self._cron.timezone == "UTC" else f"{words} ({self._cron.timezone})"

    def __eq__(self, other: object) -> bool:
        """Timetables are equal when all their arguments are."""
        return self._cron == other._cron if isinstance(other, CronSchedule) else NotImplemented

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash(self._cron)
