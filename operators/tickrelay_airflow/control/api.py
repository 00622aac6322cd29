# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A small client of Airflow's public REST API (v2) and of Tickrelay's own routes beside it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import quote

import httpx

from tickrelay_airflow.control.access import PASSWORD, TOKEN, USER, Access
from tickrelay_airflow.control.errors import AirflowRefused, AirflowUnavailable, UnknownSchedule

_TIMEOUT = 15.0
_SAID = 300
"""Characters of an answer that an error quotes."""


class AirflowApi:
    """
    Args:
        client: with Airflow's address as its base and, where that is needed, a login that adds itself.
        where: the address, for errors.
    """

    def __init__(self, client: httpx.Client, where: str) -> None:
        self._client = client
        self._where = where

    @classmethod
    def open(cls, access: Access) -> Self:
        """A client over the network; logs in with its first request."""
        # A proxy from the environment has nothing to do with this host.
        client = httpx.Client(
            base_url=access.url, timeout=_TIMEOUT, auth=_Login(access), trust_env=not access.is_local
        )
        return cls(client, f"{access.url} ({access.source})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """
        The answer's JSON.

        Raises:
            AirflowUnavailable: it doesn't answer, or says it is ill.
            AirflowRefused: it says no.
            UnknownSchedule: there is no such thing.
        """
        return self._ask(
            "GET", path, params={name: value for name, value in query.items() if value is not None}
        )

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Raises as `get`."""
        return self._ask("POST", path, json=dict(body))

    def set_paused(self, dag_id: str, *, paused: bool) -> bool:
        """Whether that changed anything; raises as `get`."""
        path = f"/api/v2/dags/{quote(dag_id, safe='')}"
        if bool(self.get(path)["is_paused"]) is paused:
            return False
        self._ask("PATCH", path, params={"update_mask": "is_paused"}, json={"is_paused": paused})
        return True

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        with _reaching(self._where):
            answer = self._client.request(method, path, **request)
            return _read(answer, self._where)


class _Login(httpx.Auth):
    """Adds the token, fetched when first needed and once more when it has run out."""

    requires_response_body = True

    def __init__(self, access: Access) -> None:
        self._access = access
        self._token = access.token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """One request, with a login before it where that is needed."""
        if self._token is None:
            self._keep((yield self._asking()))
        request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._access.token is None:
            self._keep((yield self._asking()))
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _asking(self) -> httpx.Request:
        address = f"{self._access.url}/auth/token"
        if self._access.user is None:
            return httpx.Request("GET", address)
        login = {"username": self._access.user, "password": self._access.password}
        return httpx.Request("POST", address, json=login)

    def _keep(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            who = f"user {self._access.user}" if self._access.user else "anybody without a login"
            raise AirflowRefused(
                f"{self._access.url} gives {who} no token ({answer.status_code}); set {USER} and {PASSWORD}, or {TOKEN}"
            )
        self._token = str(answer.json()["access_token"])


@contextmanager
def _reaching(where: str) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise AirflowUnavailable(f"Airflow at {where} doesn't answer within {_TIMEOUT:.0f} s") from error
    except httpx.HTTPError as error:
        raise AirflowUnavailable(
            f"Airflow at {where} can't be reached: {error}; is it running, and is that its address?"
        ) from error
    except (ValueError, KeyError) as error:
        raise AirflowUnavailable(
            f"{where} doesn't answer as an Airflow with Tickrelay's plugin would; is that its address?"
        ) from error


def _read(answer: httpx.Response, where: str) -> Any:
    if answer.is_success:
        return answer.json()
    text = f"{answer.request.method} {answer.request.url.path} at {where}: {answer.status_code}, {_reason(answer)}"
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise UnknownSchedule(text)
    if answer.is_server_error:
        raise AirflowUnavailable(text)
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise AirflowRefused(f"{text}; the user needs the right to edit this DAG")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise AirflowRefused(f"{text}; log in with {USER} and {PASSWORD}, or give a fresh {TOKEN}")
    raise AirflowRefused(text)


def _reason(answer: httpx.Response) -> str:
    """What it says, on one line; an HTML page says nothing."""
    try:
        detail = answer.json().get("detail", "")
    except (ValueError, AttributeError):
        detail = answer.reason_phrase
    if isinstance(detail, Mapping):
        detail = detail.get("reason") or detail
    return " ".join(str(detail).split())[:_SAID]
