# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Schedules as the API and the page show them: from Airflow's REST API, its serialised DAGs, and the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.utils.session import create_session

from tickrelay_airflow.control.api import AirflowApi
from tickrelay_airflow.control.errors import UnknownSchedule
from tickrelay_airflow.control.records import (
    Change,
    Decision,
    Definition,
    HistoryView,
    InForce,
    Run,
    Schedules,
    ScheduleView,
)
from tickrelay_airflow.control.revoking import kind_of
from tickrelay_airflow.control.ticks import coming
from tickrelay_airflow.hook import QueueHook
from tickrelay_airflow.timetable import CronSchedule
from tickrelay_messaging.errors import TickrelayError
from tickrelay_messaging.ledger.schedules import AuditEntry, TickFilter, TickOutcome, schedule_id

if TYPE_CHECKING:
    from airflow.models.dagbag import DBDagBag

    from tickrelay_messaging.ledger.base import Ledger
    from tickrelay_messaging.ledger.records import Revocation

PAGE = 100
_TYPE = f"{CronSchedule.__module__}.{CronSchedule.__qualname__}"
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Book:
    """
    The ledger of the connection that the pages read.

    Attributes:
        problem: why there is none; empty if there is.
    """

    deployment: str
    ledger: Ledger | None
    problem: str = ""

    @classmethod
    def open(cls) -> Book:
        """Never raises: Airflow's part is shown without the ledger's."""
        hook = QueueHook(conf.get("tickrelay", "conn_id", fallback="tickrelay_default"))
        deployment = ""
        try:
            deployment = hook.deployment
            ledger = hook.require_ledger("What became of ticks")
            ledger.now()
        except TickrelayError as error:
            return cls(deployment, None, str(error))
        return cls(deployment, ledger)

    def require(self) -> Ledger:
        """
        The ledger.

        Raises:
            TickrelayError: why there is none.
        """
        return self.ledger or QueueHook(
            conf.get("tickrelay", "conn_id", fallback="tickrelay_default")
        ).require_ledger("Changing a schedule")


class Reader:
    """
    What the caller may see.

    Args:
        airflow: its REST API with the caller's rights.
        dags: Airflow's own store of serialised DAGs.
    """

    def __init__(self, airflow: AirflowApi, dags: DBDagBag) -> None:
        self._airflow = airflow
        self._dags = dags
        self.book = Book.open()

    def page(self, *, offset: int = 0, limit: int = PAGE) -> Schedules:
        """The schedules the caller may read, by name."""
        found = self._airflow.get(
            "/api/v2/dags", timetable_type=_TYPE, order_by="dag_id", offset=offset, limit=limit
        )
        known = [one for row in found["dags"] if (one := self._definition(row)) is not None]
        runs = self._newest_runs([one.dag_id for one in known])
        views, problem = self._filled(known, runs)
        return Schedules(schedules=views, total=int(found["total_entries"]), problem=problem)

    def definition(self, dag_id: str) -> Definition:
        """
        One schedule, without what is going on.

        Raises:
            UnknownSchedule: there is no such DAG, or it has no `CronSchedule`.
        """
        found = self._definition(self._airflow.get(f"/api/v2/dags/{dag_id}"))
        if found is None:
            raise UnknownSchedule(f"DAG {dag_id!r} has no CronSchedule; `airflow dags` looks after it")
        return found

    def one(self, dag_id: str, *, ticks: int = 5, runs: int = 5) -> tuple[ScheduleView, str]:
        """One schedule, and why the ledger's part is missing; raises as `definition`."""
        known = self.definition(dag_id)
        rows = self._airflow.get(f"/api/v2/dags/{dag_id}/dagRuns", order_by="-run_after", limit=runs)
        (view,), problem = self._filled([known], {dag_id: [_run(row) for row in rows["dag_runs"]]}, ticks)
        return view, problem

    def history(self, dag_id: str, *, outcome: str | None = None, limit: int = PAGE) -> HistoryView:
        """Decisions and changes; raises as `definition`, and `TickrelayError` without a ledger."""
        known, ledger = self.definition(dag_id), self.book.require()
        where = TickFilter(schedule=known.schedule, outcome=TickOutcome(outcome) if outcome else None)
        return HistoryView(
            dag_id=dag_id,
            schedule=known.schedule,
            decisions=[Decision.of(one) for one in ledger.schedules.list(where, limit=limit)],
            changes=[Change.of(one) for one in islice(_entries(ledger, known.schedule), limit)],
        )

    def _definition(self, row: dict[str, Any]) -> Definition | None:
        with create_session() as session:
            dag = self._dags.get_latest_version_of_dag(row["dag_id"], session=session)
        if dag is None or not isinstance(dag.timetable, CronSchedule):
            return None
        settings = dag.timetable.serialize()
        return Definition(
            dag_id=row["dag_id"],
            schedule=schedule_id(self.book.deployment, row["dag_id"]),
            ledger=self.book.ledger.id if self.book.ledger else None,
            expression=str(settings["expression"]),
            words=dag.timetable.description,
            timezone=str(settings.get("timezone", "UTC")),
            settings=settings,
            paused=bool(row["is_paused"]),
            broken=bool(row["has_import_errors"]),
            starts=dag.start_date,
            ends=dag.end_date,
            file=row["fileloc"] or "",
        )

    def _newest_runs(self, dag_ids: Sequence[str]) -> dict[str, list[Run]]:
        """Each DAG's newest run: from the newest of all, and one by one what isn't among them."""
        if not dag_ids:
            return {}
        asked = {"dag_ids": list(dag_ids), "order_by": "-run_after", "page_limit": PAGE}
        found: dict[str, list[Run]] = {}
        for row in self._airflow.post("/api/v2/dags/~/dagRuns/list", asked)["dag_runs"]:
            found.setdefault(row["dag_id"], [_run(row)])
        for dag_id in set(dag_ids) - set(found):
            rows = self._airflow.get(f"/api/v2/dags/{dag_id}/dagRuns", order_by="-run_after", limit=1)
            found[dag_id] = [_run(row) for row in rows["dag_runs"]]
        return found

    def _filled(
        self, known: Iterable[Definition], runs: dict[str, list[Run]], ticks: int = 2
    ) -> tuple[list[ScheduleView], str]:
        """With the ledger's part, or why it is missing."""
        try:
            revocations = self.book.ledger.revocations.list() if self.book.ledger else []
            return [self._view(one, runs, revocations, ticks) for one in known], self.book.problem
        except TickrelayError as error:
            self.book = Book(self.book.deployment, None, str(error))
            return [self._view(one, runs, [], ticks) for one in known], str(error)

    def _view(
        self, known: Definition, runs: dict[str, list[Run]], revocations: Sequence[Revocation], ticks: int
    ) -> ScheduleView:
        ours = [one for one in revocations if one.schedule == known.schedule and not _is_over(one)]
        return ScheduleView(
            **dict(known),
            next=coming(known, ticks, ours),
            runs=runs.get(known.dag_id, []),
            revocations=[InForce.of(one, kind_of(one)) for one in ours],
            **self._decided(known.schedule),
        )

    def _decided(self, schedule: str) -> dict[str, Any]:
        if (ledger := self.book.ledger) is None:
            return {}
        newest = ledger.schedules.list(TickFilter(schedule=schedule), limit=1)
        yesterday = TickFilter(schedule=schedule, outcome=TickOutcome.MISFIRED, since=ledger.now() - _DAY)
        missed = ledger.schedules.count(yesterday).get(TickOutcome.MISFIRED, 0)
        return {"last": Decision.of(newest[0]) if newest else None, "misfires": missed}


def _run(row: dict[str, Any]) -> Run:
    return Run(run_id=row["dag_run_id"], kind=row["run_type"], state=row["state"], after=row["run_after"])


def _entries(ledger: Ledger, schedule: str) -> Iterator[AuditEntry]:
    """Of this schedule, the newest first: the trail itself also finds one whose name begins with this one's."""
    after = 0
    while page := ledger.audit.list(about=schedule, after=after):
        for entry in page:
            rest = entry.detail.removeprefix(schedule)
            if entry.detail.startswith(schedule) and rest[:1] in ("", " ", ":"):
                yield entry
        after = page[-1].number


def _is_over(one: Revocation) -> bool:
    return one.until is not None and one.until <= datetime.now(UTC).timestamp()
