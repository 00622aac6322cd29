# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Airflow's REST API, as far as starting runs needs it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tickrelay_consumer.breaker import CircuitOpen
from tickrelay_messaging.errors import ConfigurationError, DeadLetter

if TYPE_CHECKING:
    import httpx

    from tickrelay_consumer.dag_runs.settings import DagRunSettings

_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""What may be the message's own fault."""
_UNKNOWN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""Of a token that isn't valid (any more) Airflow says the one or the other."""
_SHOWN = 300
"""Characters of an answer that are shown in an error."""


class AirflowFailed(RuntimeError):
    """Airflow answered with an error of its own (5xx): to be tried again like any failure."""


class AirflowApi:
    """
    One API server. Thread-safe; connects when first used.

    Every method raises `CircuitOpen` where it is nobody's fault but Airflow's or the settings': it can't be reached,
    refuses the login or the right, doesn't have the DAG, or has it broken. No message is to blame, so none loses an
    attempt.
    """

    def __init__(self, settings: DagRunSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._token = settings.token.get_secret_value() if settings.token else None

    def start_run(self, run_id: str, conf: Mapping[str, Any]) -> bool:
        """
        Start a run of the DAG.

        Returns:
            False if there is a run of this id already.

        Raises:
            DeadLetter: Airflow refuses what the message asks for.
            AirflowFailed: see there.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        answer = self._ask("POST", f"{self._dag}/dagRuns", body)
        if answer.status_code == HTTPStatus.CONFLICT:
            there = self._ask("GET", f"{self._dag}/dagRuns/{run_id}")
            if there.is_success:
                return False
        self._judge(answer)
        return True

    def queued(self) -> int:
        """How many runs of the DAG are queued."""
        answer = self._ask("GET", f"{self._dag}/dagRuns?state=queued&limit=1")
        self._judge(answer)
        return int(answer.json()["total_entries"])

    @property
    def _dag(self) -> str:
        return f"/api/v2/dags/{quote(self._settings.dag, safe='')}"

    def _judge(self, answer: httpx.Response) -> None:
        """Raise what an answer that is no success means."""
        if answer.is_success:
            return
        said = f"Airflow says {answer.status_code}: {answer.text[:_SHOWN]}"
        if answer.is_server_error:
            raise AirflowFailed(said)
        if answer.status_code in _REFUSALS and not self._is_dag_broken():
            raise DeadLetter(said)
        raise CircuitOpen(f"{said} (DAG {self._settings.dag!r} at {self._settings.url})")

    def _is_dag_broken(self) -> bool:
        """Whether nothing could start a run of it now, whatever the message."""
        answer = self._ask("GET", self._dag)
        if not answer.is_success:
            return True
        dag = answer.json()
        kinds = dag.get("allowed_run_types")
        return bool(dag.get("has_import_errors")) or (kinds is not None and "manual" not in kinds)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        answer = self._send(method, path, body, self._known_token())
        if answer.status_code in _UNKNOWN and self._settings.token is None:
            answer = self._send(method, path, body, self._known_token(but=_bearer(answer)))
        return answer

    def _known_token(self, *, but: str | None = None) -> str:
        """The token, fetched if there is none or only one that has been refused."""
        with self._lock:
            if self._token is None or self._token == but:
                self._token = self._fetch_token()
            return self._token

    def _fetch_token(self) -> str:
        settings = self._settings
        if settings.user is None or settings.password is None:
            answer = self._send("GET", "/auth/token")
        else:
            login = {"username": settings.user, "password": settings.password.get_secret_value()}
            answer = self._send("POST", "/auth/token", login)
        if not answer.is_success:
            # Its text may quote what was sent.
            raise CircuitOpen(
                f"Airflow at {settings.url} gives no token ({answer.status_code}): check user and password"
            )
        return str(answer.json()["access_token"])

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str | None = None
    ) -> httpx.Response:
        import httpx

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return self._connected().request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            raise CircuitOpen(f"Airflow at {self._settings.url} doesn't answer: {error!r}") from error

    def _connected(self) -> httpx.Client:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "starting DAG runs needs httpx: pip install 'tickrelay-consumer[airflow]'"
            ) from error
        if self._client is None:
            self._client = httpx.Client(base_url=self._settings.url, timeout=self._settings.timeout)
            # A handler has no end that it is told of; its connections go when it goes.
            weakref.finalize(self, self._client.close)
        return self._client


def _bearer(answer: httpx.Response) -> str:
    return str(answer.request.headers["Authorization"]).removeprefix("Bearer ")
