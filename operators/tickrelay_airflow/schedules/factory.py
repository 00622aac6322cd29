# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
DAGs out of `schedules.yaml`: a schedule, a queue and a payload, without writing Python.

One entry's mistake is its own: it becomes a DAG without a schedule, tagged `broken`, whose page says file,
line and field. The factory itself never raises, since that would take every DAG of the file away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.schedules.entry import Entry, Problem, read_entries

if TYPE_CHECKING:
    from airflow.sdk import Context

_START = datetime(2026, 1, 1, tzinfo=UTC)


class BrokenSchedule(BaseOperator):
    """The task of a broken schedule's DAG: whoever triggers it by hand is told what is wrong."""

    def __init__(self, *, problem: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problem = problem

    def execute(self, context: Context) -> None:  # noqa: ARG002 - Airflow's signature
        """
        Fail.

        Raises:
            AirflowFailException: always.
        """
        raise AirflowFailException(self.problem)


@dataclass(frozen=True, slots=True)
class _Names:
    taken: set[str]

    def free(self, wanted: str) -> str:
        """`wanted`, or else with a number behind it."""
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name


def dags_from(path: Path | str) -> dict[str, DAG]:
    """
    The DAGs of a file of schedules, by id; put them into a DAG file's `globals()`.

    Args:
        path: the YAML file. No file, no DAGs.
    """
    path = Path(path)
    names = _Names(set())
    dags = [_dag(found, names) for found in read_entries(path)]
    return {dag.dag_id: dag for dag in dags}


def _dag(found: Entry | Problem, names: _Names) -> DAG:
    if isinstance(found, Problem):
        return _broken(found, names)
    try:
        return _scheduled(found)
    except Exception as error:  # noqa: BLE001 - whatever Airflow has against it, the other entries live on
        return _broken(found.problem(str(error)), names)
    finally:
        names.taken.add(found.name)


def _scheduled(entry: Entry) -> DAG:
    with DAG(
        dag_id=entry.name,
        schedule=entry.timetable(),
        start_date=_START,
        catchup=entry.catchup,
        max_active_runs=entry.max_active_runs,
        tags={"tickrelay", *entry.tags},
        description=entry.description or f"{entry.cron} ({entry.timezone}): a message to queue {entry.queue}",
        doc_md=f"Made from `{entry.place}`.\n\n{entry.description}",
        default_args={"retries": entry.retries, "retry_delay": timedelta(seconds=5), "owner": entry.owner},
    ) as dag:
        PublishToQueueOperator(
            task_id="publish",
            queue=entry.queue,
            data=entry.data,
            id=entry.id,
            key=entry.key,
            headers=entry.headers,
            type=entry.type,
            expires=None if entry.expires_after is None else timedelta(seconds=entry.expires_after),
            conn_id=entry.conn_id,
            ticks=entry.window is not None,
            misfire=entry.misfire,
            misfire_threshold=entry.misfire_threshold,
            overlap=entry.overlap_runs,
        )
    return dag


def _broken(problem: Problem, names: _Names) -> DAG:
    with DAG(
        dag_id=names.free(problem.dag_id),
        schedule=None,
        start_date=_START,
        tags={"tickrelay", "broken"},
        description=f"Broken: {problem.summary}"[:250],
        doc_md=f"**This schedule is broken and never runs.** Others aren't affected.\n\n- {problem.markdown}",
    ) as dag:
        BrokenSchedule(task_id="broken", problem=problem.summary)
    return dag
