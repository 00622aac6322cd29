# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Airflow's own REST API, asked from within the API server with the caller's login.

Its rights, its validation and its audit log hold as if the caller had asked it directly, and no address is configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.from_thread
import httpx

from tickrelay_airflow.control.api import AirflowApi
from tickrelay_plugin.plugin import AIRFLOW

if TYPE_CHECKING:
    from starlette.requests import Request

# Within one process nothing is worth compressing.
_PLAIN = {"accept-encoding": "identity"}
_PASSED_ON = ("authorization", "cookie")


class InProcess(httpx.BaseTransport):
    """Requests of a worker thread, carried out by an ASGI application in the event loop that started the thread."""

    def __init__(self, app: Any) -> None:
        # Whatever Airflow's handlers don't catch is its answer 500, not an exception of ours.
        self._transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request and its whole answer."""
        return anyio.from_thread.run(self._carry_out, request)

    async def _carry_out(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


def airflow_of(request: Request) -> Any:
    """Airflow's application, inside which ours is mounted."""
    return request.scope[AIRFLOW]


def api_of(request: Request) -> AirflowApi:
    """Its API, as the caller of this request may use it; for worker threads."""
    passed_on = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    client = httpx.Client(
        transport=InProcess(airflow_of(request)),
        base_url="http://airflow",
        headers=passed_on | _PLAIN,
        trust_env=False,
    )
    return AirflowApi(client, "this server")
