# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`/api/schedules`: schedules as JSON, and their verbs. Who may read or edit the DAG may read or change it here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import BaseModel, Field

from tickrelay_airflow.control.desk import Desk
from tickrelay_airflow.control.errors import AirflowRefused, HalfDone, UnknownSchedule
from tickrelay_airflow.control.records import HistoryView, Outcome, Schedules, ScheduleView
from tickrelay_airflow.control.skipping import skip, unskip
from tickrelay_airflow.control.switching import pause, resume
from tickrelay_airflow.control.triggering import trigger
from tickrelay_messaging.errors import CallerError, TickrelayError
from tickrelay_messaging.ledger.schedules import TickOutcome
from tickrelay_plugin.inside import airflow_of, api_of
from tickrelay_plugin.origin import same_origin
from tickrelay_plugin.schedule_views import PAGE, Reader

Found = TypeVar("Found")
DagId = Annotated[str, Path(max_length=250)]
Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=PAGE)]
Count = Annotated[int, Field(ge=1, le=1000)]

# Threads of our own: each waits for Airflow's routes, which take theirs from the pool that all share.
_threads = anyio.CapacityLimiter(16)

READ = Depends(requires_access_dag("GET"))
CHANGE = [Depends(requires_access_dag("PUT")), Depends(same_origin)]


class Why(BaseModel):
    """Of every change, for the audit trail."""

    reason: str = Field(default="", max_length=1000)


class Trigger(Why):
    """`run_id` names the run, so that asking again makes no second one."""

    conf: dict[str, Any] = {}
    run_id: str | None = Field(default=None, max_length=250)


class SkipNext(Why):
    """How many ticks; with `undo` those skipped are restored instead."""

    count: Count = 1
    undo: bool = False


async def aside(action: Callable[[], Found]) -> Found:
    """
    Carry out in a thread what waits for Airflow and the ledger.

    Raises:
        HTTPException: what was wrong, in the tree's own words.
    """
    try:
        return await anyio.to_thread.run_sync(action, limiter=_threads)
    except TickrelayError as error:
        raise HTTPException(status_of(error), str(error)) from error


def status_of(error: TickrelayError) -> int:
    """The HTTP status that says whose fault it is."""
    kinds = ((UnknownSchedule, 404), (CallerError, 400), (AirflowRefused, 403), (HalfDone, 502))
    return next((status for kind, status in kinds if isinstance(error, kind)), 503)


def reader_of(request: Request) -> Reader:
    """For a thread."""
    return Reader(api_of(request), airflow_of(request).state.dag_bag)


def change(
    request: Request, dag_id: str, who: tuple[str, str], verb: Callable[[Desk], Outcome]
) -> Callable[[], Outcome]:
    """What `aside` is to carry out; `who` is the user's name and the reason."""

    def carry_out() -> Outcome:
        reader = reader_of(request)
        by, reason = who
        desk = Desk(
            api_of(request), reader.book.require, reader.definition(dag_id), f"airflow:{by}", reason.strip()
        )
        return verb(desk)

    return carry_out


def router() -> APIRouter:
    """The JSON routes."""
    made = APIRouter(prefix="/api/schedules")
    made.add_api_route("", _list, dependencies=[READ], methods=["GET"])
    made.add_api_route("/{dag_id}", _show, dependencies=[READ], methods=["GET"])
    made.add_api_route("/{dag_id}/history", _history, dependencies=[READ], methods=["GET"])
    made.add_api_route("/{dag_id}/pause", _pause, dependencies=CHANGE, methods=["POST"])
    made.add_api_route("/{dag_id}/resume", _resume, dependencies=CHANGE, methods=["POST"])
    made.add_api_route("/{dag_id}/trigger", _trigger, dependencies=CHANGE, methods=["POST"])
    made.add_api_route("/{dag_id}/skip-next", _skip, dependencies=CHANGE, methods=["POST"])
    return made


async def _list(request: Request, user: GetUserDep, offset: Offset = 0, limit: Limit = PAGE) -> Schedules:
    return await aside(lambda: page_for(request, user, offset, limit))


def page_for(request: Request, user: Any, offset: int, limit: int = PAGE) -> Schedules:
    """A page of schedules, each with whether the user may change it; for a thread."""
    found = reader_of(request).page(offset=offset, limit=limit)
    editable = get_auth_manager().get_authorized_dag_ids(user=user, method="PUT")
    for one in found.schedules:
        one.editable = one.dag_id in editable
    return found


async def _show(request: Request, dag_id: DagId, user: GetUserDep, ticks: Limit = 5) -> ScheduleView:
    def look() -> ScheduleView:
        found, _ = reader_of(request).one(known(dag_id), ticks=ticks)
        found.editable = dag_id in get_auth_manager().get_authorized_dag_ids(user=user, method="PUT")
        return found

    return await aside(look)


async def _history(
    request: Request, dag_id: DagId, outcome: TickOutcome | None = None, limit: Limit = PAGE
) -> HistoryView:
    return await aside(lambda: reader_of(request).history(known(dag_id), outcome=outcome, limit=limit))


async def _pause(request: Request, dag_id: DagId, user: GetUserDep, why: Why | None = None) -> Outcome:
    return await aside(change(request, known(dag_id), (user.get_name(), _reason(why)), pause))


async def _resume(request: Request, dag_id: DagId, user: GetUserDep, why: Why | None = None) -> Outcome:
    return await aside(change(request, known(dag_id), (user.get_name(), _reason(why)), resume))


async def _trigger(
    request: Request, dag_id: DagId, user: GetUserDep, asked: Trigger | None = None
) -> Outcome:
    asked = asked or Trigger()
    verb = partial(trigger, conf=asked.conf, run_id=asked.run_id)
    return await aside(change(request, known(dag_id), (user.get_name(), asked.reason), verb))


async def _skip(request: Request, dag_id: DagId, user: GetUserDep, asked: SkipNext | None = None) -> Outcome:
    asked = asked or SkipNext()
    verb = unskip if asked.undo else partial(skip, count=asked.count)
    return await aside(change(request, known(dag_id), (user.get_name(), asked.reason), verb))


def _reason(why: Why | None) -> str:
    return why.reason if why else ""


def known(dag_id: str) -> str:
    """A DAG's id; "~" is "any DAG" to Airflow's guard, so it must not get further than this."""
    if dag_id == "~":
        raise HTTPException(404, "There is no DAG '~'.")
    return dag_id
