# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Runs of a schedule without a scheduler: a DAG, one of its runs, and the task in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pendulum
import time_machine
from airflow.sdk import DAG
from airflow.timetables.base import DataInterval

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.timetable import CronSchedule

W = pendulum.datetime(2026, 7, 1, 12, 30)
"""A window begins."""
SCHEDULE_ID = "airflow/beat"


def second(number: float) -> datetime:
    """So many seconds after the window's beginning."""
    return W + timedelta(seconds=number)


def ahead(**arguments: Any) -> CronSchedule:
    """Every ten seconds, a minute's worth, half a minute ahead."""
    return CronSchedule(
        arguments.pop("expression", "*/10 * * * * ?"), **{"window": "1m", "lead": "30s", **arguments}
    )


def task_of(
    schedule: Any,
    make: Callable[..., Any] = PublishToQueueOperator,
    *,
    max_active_runs: int = 16,
    **arguments: Any,
) -> Any:
    """A publishing task in a DAG of that schedule."""
    with DAG(
        "beat",
        schedule=schedule,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        max_active_runs=max_active_runs,
    ):
        return make(**{"task_id": "publish", "queue": "orders", **arguments})


def interval_of(schedule: CronSchedule, begin: datetime = W) -> DataInterval:
    """Of the run whose window begins there."""
    return DataInterval(begin - schedule.lead, begin - schedule.lead + timedelta(minutes=1))  # type: ignore[arg-type]


def run_task(
    task: Any, context: Any, interval: DataInterval, *, now: datetime, run_type: str = "scheduled", **ti: Any
) -> dict[str, Any]:
    """The task's try at an instant: rendered by Airflow, then executed; returns its XCom."""
    by_hand = run_type == "manual"
    run = SimpleNamespace(
        dag_id="beat",
        run_id=f"{run_type}__{interval.start.isoformat()}",
        run_type=run_type,
        logical_date=None if by_hand else interval.start,
        run_after=interval.start,
        data_interval_start=None if by_hand else interval.start,
        data_interval_end=None if by_hand else interval.end,
    )
    given = context(dag_id="beat", run_id=run.run_id, **ti) | {"dag_run": run}
    given["ti"].get_previous_dagrun = lambda state: ti.get("previous") if state == "running" else None
    with time_machine.travel(now, tick=False):
        task.render_template_fields(given)
        result: dict[str, Any] = task.execute(given)
    return result
