# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The plugin as Airflow finds it. Every Airflow process imports this module, so the pages themselves load with
their first request.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from tickrelay_airflow.timetable import CronSchedule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Channel = Callable[..., Awaitable[Any]]

AIRFLOW = "tickrelay.airflow"
"""In a request's scope: Airflow's own application, whose place in `app` ours takes."""

log = logging.getLogger(__name__)


class Pages:
    """
    An ASGI application that is built when first asked. If it can't be built, it answers 503 and shows
    nothing.
    """

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Scope, receive: Channel, send: Channel) -> None:
        """One request."""
        await self._built()({**scope, AIRFLOW: scope.get("app")}, receive, send)

    def __repr__(self) -> str:
        return "tickrelay_plugin.app"

    def _built(self) -> Any:
        if self._app is None:
            try:
                from tickrelay_plugin.app import build

                self._app = build()
            except Exception:
                log.exception("Tickrelay's pages can't be loaded")
                return _unavailable
        return self._app


async def _unavailable(scope: Scope, receive: Channel, send: Channel) -> None:  # noqa: ARG001 - ASGI's signature
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send(
        {
            "type": "http.response.body",
            "body": b"Tickrelay's pages can't be loaded; see the API server's log.",
        }
    )


class TickrelayPlugin(AirflowPlugin):
    """Pages of messages inside Airflow, and the timetable."""

    # Instance variables to a type checker, as in Airflow's own class; nobody changes them.
    name = "tickrelay"
    timetables: list[Any] = [CronSchedule]  # noqa: RUF012
    fastapi_apps: list[Any] = [{"app": Pages(), "url_prefix": "/tickrelay", "name": "Tickrelay"}]  # noqa: RUF012
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "Messages",
            # Relative, so that it holds behind a proxy's base path too.
            "href": "tickrelay/dags/{DAG_ID}/runs/{RUN_ID}/tasks/{TASK_ID}?map_index={MAP_INDEX}",
            "destination": "task_instance",
            "url_route": "tickrelay-messages",
        },
        {
            "name": "Schedules",
            "href": "tickrelay/schedules",
            "destination": "nav",
            "category": "browse",
            "url_route": "tickrelay-schedules",
        },
    ]
