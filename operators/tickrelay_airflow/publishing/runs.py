# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which ticks of its DAG's schedule a task instance stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DataInterval

from tickrelay_airflow.timetable import CronSchedule
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.schedules import schedule_id

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import DagRunProtocol


class Occasion(StrEnum):
    """Why there is this run."""

    SCHEDULED = "scheduled"
    AGAIN = "again"
    """A scheduled one that somebody cleared, or a backfill: late on purpose."""
    BY_HAND = "by hand"
    """Triggered by a person, an event or another DAG: one tick of its own, now, that is none of the schedule's."""


@dataclass(frozen=True, slots=True)
class Tick:
    """
    One instant of a schedule, in UTC.

    Attributes:
        due: when its work is to begin: the tick plus its jitter.
    """

    at: datetime
    due: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRun:
    """
    A DAG run of a `CronSchedule`, as one of its tasks sees it.

    Attributes:
        schedule_id: as the ledger knows the schedule.
        at: by which the schedule's runs follow one another.
        since: where the stretch of time begins whose ticks the run stands for.
    """

    schedule: CronSchedule
    schedule_id: str
    occasion: Occasion
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    ticks: tuple[Tick, ...]
    at: datetime
    since: datetime

    def local(self, tick: Tick) -> datetime:
        """The tick in the schedule's own zone."""
        return pendulum.instance(tick.at).in_timezone(self.schedule.cron.timezone)

    def newer_tick_due(self, tick: Tick, now: datetime) -> bool:
        """Whether the schedule has a later tick whose time has come already."""
        found = self.schedule.next_tick(tick.at)
        return found is not None and found <= now


def schedule_of(dag: Any) -> CronSchedule | None:
    """A DAG's `CronSchedule`; None if there is no DAG, or another timetable."""
    found = getattr(dag, "timetable", None)
    return found if isinstance(found, CronSchedule) else None


def run_of(
    context: Context, dag: Any, deployment: str, *, ticks: bool, is_cleared: bool
) -> ScheduledRun | None:
    """
    What the run of a task instance means to its schedule; None where no `CronSchedule` is behind it.

    Args:
        ticks: whether the task publishes each tick of the run, or does one tick's work: its logical date's.
        is_cleared: somebody cleared the task instance after it had run.
    """
    schedule, run = schedule_of(dag), context.get("dag_run")
    if schedule is None or run is None:
        return None
    occasion = _occasion(run, is_cleared=is_cleared)
    interval = _interval(run, occasion)
    since, _ = schedule.stretch_of(interval)
    at = interval.start
    if not ticks:
        interval = DataInterval.exact(interval.start)
    return ScheduledRun(
        schedule=schedule,
        schedule_id=schedule_id(deployment, run.dag_id),
        occasion=occasion,
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=context["ti"].task_id,
        map_index=-1 if context["ti"].map_index is None else context["ti"].map_index,
        ticks=tuple(_ticks(schedule, interval, occasion)),
        at=at,
        since=since,
    )


def require_schedule(dag: Any, purpose: str) -> CronSchedule:
    """
    A DAG's `CronSchedule`.

    Args:
        purpose: what needs it, as the beginning of the error's sentence.

    Raises:
        ConfigurationError: it has none.
    """
    schedule = schedule_of(dag)
    if schedule is None:
        name = getattr(dag, "dag_id", "the DAG")
        raise ConfigurationError(
            f"{purpose} needs a DAG with schedule=CronSchedule(...), and {name} has another schedule or none"
        )
    return schedule


def _occasion(run: DagRunProtocol, *, is_cleared: bool) -> Occasion:
    kind = str(getattr(run.run_type, "value", run.run_type))
    if kind == "backfill" or (kind == "scheduled" and is_cleared):
        return Occasion.AGAIN
    return Occasion.SCHEDULED if kind == "scheduled" else Occasion.BY_HAND


def _interval(run: DagRunProtocol, occasion: Occasion) -> DataInterval:
    """Without a logical date, as a manual run may be, the instant it was asked for."""
    if occasion is Occasion.BY_HAND or run.data_interval_start is None or run.data_interval_end is None:
        return DataInterval.exact(_utc(run.logical_date or run.run_after))
    return DataInterval(_utc(run.data_interval_start), _utc(run.data_interval_end))


def _ticks(schedule: CronSchedule, interval: DataInterval, occasion: Occasion) -> Iterator[Tick]:
    for at in schedule.ticks_of(interval):
        yield Tick(at, at if occasion is Occasion.BY_HAND else schedule.due_of(at))


def _utc(when: datetime) -> Any:
    return pendulum.instance(when.astimezone(UTC)).in_timezone(pendulum.UTC)
