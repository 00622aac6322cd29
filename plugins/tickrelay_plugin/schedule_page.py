# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`/schedules`: every schedule in words, and buttons that work without scripts and without windows of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from tickrelay_airflow.control.desk import Desk
from tickrelay_airflow.control.records import Outcome
from tickrelay_airflow.control.skipping import skip, unskip
from tickrelay_airflow.control.switching import pause, resume
from tickrelay_plugin.schedule_routes import CHANGE, READ, DagId, Offset, aside, change, known, page_for
from tickrelay_plugin.schedule_views import PAGE
from tickrelay_plugin.templates import render

Verb = Literal["pause", "resume", "skip-next", "undo-skips"]

_VERBS: dict[Verb, Callable[[Desk], Outcome]] = {
    "pause": pause,
    "resume": resume,
    "skip-next": partial(skip, count=1),
    "undo-skips": unskip,
}
_DONE = {
    "pause": "is paused",
    "resume": "goes on",
    "skip-next": "leaves out its next tick",
    "undo-skips": "skips no tick ahead",
}
_MOST_BYTES = 10_000


def router() -> APIRouter:
    """The page and where its buttons lead."""
    made = APIRouter(prefix="/schedules")
    made.add_api_route("", _page, dependencies=[READ], methods=["GET"])
    made.add_api_route("/{dag_id}/{verb}", _press, dependencies=CHANGE, methods=["POST"])
    return made


async def _page(
    request: Request,
    user: GetUserDep,
    offset: Offset = 0,
    did: Verb | None = None,
    to: Annotated[str, Query(max_length=250)] = "",
) -> Response:
    """The schedules; `did` and `to` name the button that was pressed."""
    request.state.forms = "'self'"
    found = await aside(lambda: page_for(request, user, offset))
    is_known = any(one.dag_id == to and one.editable for one in found.schedules)
    done = f"{to} {_DONE[did]}." if did and is_known else ""
    paging: dict[str, Any] = {
        "offset": offset,
        "next": offset + PAGE if found.total > offset + PAGE else None,
    }
    return render(request, "schedules.html", view=found, done=done, now=datetime.now(UTC), **paging)


async def _press(request: Request, dag_id: DagId, verb: Verb, user: GetUserDep) -> Response:
    """A button: done, and back to the page; or what was wrong, as a page."""
    reason = await _reason(request)
    try:
        await aside(change(request, known(dag_id), (user.get_name(), reason), _VERBS[verb]))
    except HTTPException as error:
        said = {"dag_id": dag_id, "verb": verb, "text": error.detail}
        return render(request, "problem.html", status=error.status_code, **said)
    # Relative, so that it holds behind a proxy's base path too.
    return RedirectResponse(f"../../schedules?{urlencode({'did': verb, 'to': dag_id})}", status_code=303)


async def _reason(request: Request) -> str:
    body = await request.body()
    if len(body) > _MOST_BYTES:
        raise HTTPException(413, "The reason is too long.")
    return parse_qs(body.decode(errors="replace")).get("reason", [""])[0][:1000]
