# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The pages: behind Airflow's own authentication and DAG permissions, without a line of script.

What can't be imported here makes the whole application unavailable; there is no path on which a route is
served without its guard.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated

from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse

from tickrelay_plugin import schedule_page, schedule_routes
from tickrelay_plugin.templates import render
from tickrelay_plugin.view import MessagesView, look_up

_TASK = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"
_Name = Annotated[str, Path(max_length=250)]


def build() -> FastAPI:
    """The application that Airflow mounts at `/tickrelay`."""
    app = FastAPI(title="Tickrelay", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_secure)
    guard = [Depends(requires_access_dag("GET"))]
    app.add_api_route(_TASK, _page, dependencies=guard, response_class=HTMLResponse, methods=["GET"])
    app.add_api_route(f"/api{_TASK}", _json, dependencies=guard, methods=["GET"])
    app.include_router(schedule_routes.router())
    app.include_router(schedule_page.router())
    return app


def _found(
    dag_id: _Name,
    run_id: _Name,
    task_id: _Name,
    map_index: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[int, Query(ge=0)] = 0,
) -> MessagesView:
    """
    What both routes show. Runs after their guard, which reads `dag_id` from the path as well.

    Args:
        map_index: Airflow's pages leave their placeholder in place for tasks that aren't mapped, so anything
            that is no number means every index.
    """
    # "~" is "any DAG" to Airflow's guard, so it must not get further than this.
    if dag_id == "~" or DagModel.get_dagmodel(dag_id) is None:
        raise HTTPException(404, f"There is no DAG {dag_id!r}.")
    index = int(map_index) if map_index.removeprefix("-").isdecimal() else None
    return look_up(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=index, after=after)


def _json(view: Annotated[MessagesView, Depends(_found)]) -> MessagesView:
    """The task's messages as JSON."""
    return view


def _page(request: Request, view: Annotated[MessagesView, Depends(_found)]) -> HTMLResponse:
    """The task's messages as a page."""
    return render(request, "messages.html", view=view)


async def _secure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Headers for every answer, errors too: nothing is run, framed by others, sniffed or kept."""
    request.state.nonce = secrets.token_urlsafe(16)
    request.state.forms = "'none'"
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{request.state.nonce}'; "
        f"base-uri 'none'; form-action {request.state.forms}; frame-ancestors 'self'"
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response
