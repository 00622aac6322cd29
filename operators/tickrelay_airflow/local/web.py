# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What only Airflow knows: how many ticks it has had, and which DAG files are broken. Asked through its public API."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

_TIMEOUT = 2.0
_EVERY = 2.0
"""Seconds between two questions; each costs the API server some 20 ms."""


class Web:
    """
    Airflow's API on this host, where everybody is an administrator.

    Attributes:
        ready: whether it has answered.
        ticks: scheduled DAG runs that have ended well, over the home's whole life.
        broken: DAG files that can't be imported.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        # A proxy from the environment has nothing to do with this host.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token: str | None = None
        self._next = 0.0
        self.ready = False
        self.ticks = 0
        self.broken = 0

    def refresh(self, *, at_once: bool = False) -> None:
        """Ask again if the last answer is old; an API server that is down leaves the last figures."""
        if time.monotonic() < self._next and not at_once:
            return
        self._next = time.monotonic() + _EVERY
        try:
            self.ticks = self._total("dags/~/dagRuns?limit=1&run_type=scheduled&state=success")
            self.broken = self._total("importErrors?limit=1")
            self.ready = True
        except (OSError, ValueError, KeyError):
            self._token = None

    def _total(self, path: str) -> int:
        return int(self._get(f"/api/v2/{path}")["total_entries"])

    def _get(self, path: str) -> Mapping[str, Any]:
        if self._token is None and not path.startswith("/auth"):
            self._token = self._get("/auth/token")["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = urllib.request.Request(self._address + path, headers=headers)  # noqa: S310 - always http
        with self._opener.open(request, timeout=_TIMEOUT) as response:
            answer: Mapping[str, Any] = json.load(response)
            return answer
