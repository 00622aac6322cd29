# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Two schedulers, two triggerers, a DAG processor and the API server, on PostgreSQL.

Each is a session of its own. Task logs lie on the disk, so nobody runs a log server; on machines that do, two of a
kind need ports of their own (`[logging] worker_log_server_port`, `trigger_log_server_port`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.services.airflow_ha.configuration import Sections, write_airflow_cfg
from tests.services.postgres import Postgres
from tests.services.process import free_ports
from tests.services.waiting import wait_until

ROOT = Path(__file__).parents[3]
SCHEDULERS = ("scheduler-1", "scheduler-2")
TRIGGERERS = ("triggerer-1", "triggerer-2")
_ARGUMENTS = {
    "dag-processor": "dag-processor",
    "api-server": "api-server --host 127.0.0.1 --port {port}",
    **dict.fromkeys(SCHEDULERS, "scheduler --skip-serve-logs"),
    **dict.fromkeys(TRIGGERERS, "triggerer --skip-serve-logs"),
}
_JOBS = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}
START_WITHIN = 90.0


class AirflowHA:
    """
    Args:
        folder: takes all its files.
        postgres: has room for its metadata database.
        environment: of every component; connections, as a rule.
        settings: sections of `airflow.cfg` that outrank the recommended ones.

    Attributes:
        dags: where DAG files are put.
        jobs: each component's number in the table `job`, by its name.
    """

    def __init__(
        self, folder: Path, postgres: Postgres, environment: Mapping[str, str], settings: Sections
    ) -> None:
        self.home = folder / "airflow"
        self.dags = folder / "dags"
        self.logs = folder / "logs"
        for made in (self.home, self.dags, self.logs):
            made.mkdir(parents=True, exist_ok=True)
        self.database = postgres.new_database()
        (self.port,) = free_ports(1)
        self.jobs: dict[str, int] = {}
        self._environment = dict(environment)
        self._nursery: subprocess.Popen[str] | None = None
        write_airflow_cfg(self.home, self.dags, self.database, self.port, settings)

    def start(self) -> None:
        """Start everything; returns when all of it works."""
        names = [f"{name}={text.format(port=self.port)}" for name, text in _ARGUMENTS.items()]
        with (self.logs / "nursery.log").open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.services.airflow_ha.nursery", str(self.logs), *names],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=self._process_environment(),
                start_new_session=True,
            )
        self._hear()
        self.start_component("dag-processor", "api-server", SCHEDULERS[0], TRIGGERERS[0])
        self.start_component(SCHEDULERS[1], TRIGGERERS[1])
        self.wait(self.is_answering, "the API server doesn't answer")

    def start_component(self, *names: str) -> None:
        """Start components of different kinds; returns when they are at work."""
        last = self.value("SELECT coalesce(max(id), 0) FROM job")
        for name in names:
            self._tell(f"start {name}")
        for name in names:
            self._await_job(name, last)

    def kill(self, *names: str) -> None:
        """SIGKILL components with all they have started."""
        for name in names:
            self._tell(f"kill {name}")

    def tend(self) -> None:
        """Start again whatever has ended by itself, as the supervisor of a real site would."""
        for name in _ARGUMENTS:
            self._tell(f"tend {name}")

    def pause(self, dag: str) -> None:
        """Make no more runs of it."""
        self.api(f"dags/{dag}", {"is_paused": True}, "PATCH")

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """An answer of the metadata database: tests may look behind Airflow's back, the product never does."""
        with psycopg.connect(self.database, connect_timeout=5) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]  # our own text

    def value(self, query: str, *parameters: object) -> Any:
        """The first column of the first row."""
        return self.rows(query, *parameters)[0][0]

    def api(self, path: str, body: Mapping[str, object] | None = None, method: str | None = None) -> Any:
        """An answer of Airflow's REST API, for its administrator."""
        token = self._request("/auth/token")["access_token"]
        return self._request(f"/api/v2/{path}", token, body, method)

    def wait(self, condition: Callable[[], object], otherwise: str, within: float = START_WITHIN) -> None:
        """Until it's true; fails with what the components said last."""
        wait_until(condition, lambda _: f"{otherwise}\n{self.last_words()}", within=within)

    def is_answering(self) -> bool:
        """Whether the API server does."""
        with suppress(OSError):
            return bool(self._request("/api/v2/monitor/health"))
        return False

    def last_words(self, size: int = 1500) -> str:
        """The end of every log."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-size:]}" for log in self.logs.glob("*.log")
        )

    def close(self) -> None:
        """End everything."""
        if self._nursery is not None:
            self._nursery.communicate()  # the end of its input tells it

    def _await_job(self, name: str, last: int) -> None:
        kind = _JOBS.get(name.rstrip("-12"))
        if kind is None:
            return
        query = "SELECT max(id) FROM job WHERE job_type = %s AND state = 'running' AND id > %s"
        self.wait(lambda: self.value(query, kind, last), f"{name} doesn't come up")
        self.jobs[name] = self.value(query, kind, last)

    def _tell(self, line: str) -> None:
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(line + "\n")
        self._nursery.stdin.flush()
        self._hear()

    def _hear(self) -> None:
        assert self._nursery is not None
        assert self._nursery.stdout is not None
        if (answer := self._nursery.stdout.readline().strip()) != "done":
            pytest.fail(f"{answer or 'the nursery has ended'}\n{self.last_words()}")

    def _process_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        search = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
        own = {"AIRFLOW_HOME": str(self.home), "PATH": search, "PYTHONUNBUFFERED": "1"}
        return inherited | own | self._environment

    def _request(
        self,
        path: str,
        token: str | None = None,
        body: Mapping[str, object] | None = None,
        method: str | None = None,
    ) -> Any:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running_airflow_ha(
    folder: Path,
    postgres: Postgres,
    environment: Mapping[str, str],
    settings: Sections | None = None,
    dags: Mapping[str, str] | None = None,
) -> Iterator[AirflowHA]:
    """
    An Airflow for as long as the block lasts.

    Args:
        dags: DAG files by their names, there before it starts.
    """
    system = AirflowHA(folder, postgres, environment, settings or {})
    for name, text in (dags or {}).items():
        (system.dags / name).write_text(text, encoding="utf-8")
    try:
        system.start()
        yield system
    finally:
        system.close()
