# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One running system for all acceptance tests, since a start costs a quarter of a minute. Tests may kill it."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.services.process import free_ports
from tickrelay_airflow.local.processes import load

BIN = Path(sys.executable).parent
START_WITHIN = 90
STOP_WITHIN = 30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in here is an acceptance test; those that need no system come first and have the machine for them."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in here:
        item.add_marker(pytest.mark.acceptance)
    order = {"test_kills": 0, "test_brokers_up": 0, "test_ticks_ahead": 0, "test_up": 2}
    here.sort(key=lambda item: order.get(item.path.stem, 1))
    items[:] = [item for item in items if item not in here] + here


class System:
    """A `tickrelay up` in a home and a DAG folder of its own."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project = project
        self.home = folder / "home"
        self.dags = folder / "dags"
        shutil.copytree(project / "dags", self.dags, ignore=shutil.ignore_patterns("__pycache__"))
        self.log = folder / "up.log"
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start it; returns at once."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    BIN / "tickrelay",
                    "up",
                    "--home",
                    self.home,
                    "--dags",
                    self.dags,
                    "--port",
                    str(self.port()),
                    *options,
                ],
                cwd=self.project,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        return self.process

    def port(self) -> int:
        """The same at every start, so that pages that are open stay valid; not 8080, which may be in use."""
        self.home.parent.mkdir(exist_ok=True, parents=True)
        path = self.home.parent / "port"
        if not path.exists():
            path.write_text(str(free_ports(1)[0]))
        return int(path.read_text())

    @property
    def alive(self) -> bool:
        """Whether the command runs."""
        return self.process is not None and self.process.poll() is None

    def effects(self) -> int:
        """Rows the handler of orders has written."""
        # Looking must not make the file, whose maker decides who may read it.
        ledger = f"file:{self.home / 'ledger.db'}?mode=ro"
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(ledger, uri=True, timeout=10)) as database,
        ):
            return database.execute("SELECT count(*) FROM order_effects").fetchone()[0]
        return 0

    def message_id(self) -> str:
        """The id of a message that was carried out."""
        ledger = f"file:{self.home / 'ledger.db'}?mode=ro"
        with closing(sqlite3.connect(ledger, uri=True, timeout=10)) as database:
            return database.execute("SELECT message_id FROM order_effects LIMIT 1").fetchone()[0]

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to it, by session and by environment, so that an orphan can't hide."""
        found = {
            member.pid: member
            for identity in load(self.home / "processes.json")
            for member in identity.members()
        }
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("TICKRELAY_HOME") == str(self.home):
                    found[process.pid] = process
        if self.process is not None and self.alive:
            found[self.process.pid] = psutil.Process(self.process.pid)
        return [
            process for process in found.values() if process.is_running() and process.status() != "zombie"
        ]

    def environment(self) -> dict[str, str]:
        """That of a second terminal which has read the home's `env` file."""
        tell = "import os, json; print(json.dumps(dict(os.environ)))"
        shell = f". '{self.home}/env' && exec '{sys.executable}' -c '{tell}'"
        return json.loads(subprocess.check_output(["bash", "-c", shell], text=True))

    def api(self, path: str) -> dict:
        """An answer of Airflow's API."""
        token = self._get("/auth/token", {})["access_token"]
        return self._get(f"/api/v2/{path}", {"Authorization": f"Bearer {token}"})

    def successes(self, dag_id: str, kind: str = "scheduled") -> int:
        """Runs of a DAG that ended well; 0 if there is no such DAG."""
        try:
            return self.api(f"dags/{dag_id}/dagRuns?limit=1&state=success&run_type={kind}")["total_entries"]
        except OSError:
            return 0

    def _get(self, path: str, headers: dict[str, str]) -> dict:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port()}{path}", headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    def kill_everything(self) -> None:
        """SIGKILL the whole tree at one blow, as when the machine dies."""
        victims = self.processes()
        for process in victims:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGSTOP)  # nobody may notice another's death and tidy up
        for process in victims:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(victims, timeout=10)
        if self.process is not None:
            self.process.communicate(timeout=10)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=STOP_WITHIN)
        return self.process.returncode

    def running(self) -> None:
        """Start it unless it runs, and wait until an order has been carried out since."""
        if self.alive:
            return
        before = self.effects()
        self.start("--rate", "4")
        deadline = time.monotonic() + START_WITHIN
        while self.effects() <= before:
            assert self.alive, f"tickrelay up ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, (
                f"no effect in {START_WITHIN} s:\n{self.log.read_text()[-3000:]}"
            )
            time.sleep(0.2)


@pytest.fixture(scope="package")
def any_system(project: Path, tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> Iterator[System]:
    """The one system, in whatever state the last test has left it."""
    system = System(project, tmp_path_factory.mktemp("up"))
    yield system
    if system.alive:
        system.stop()
    _keep_logs(system, artifacts)
    for process in system.processes():
        process.kill()


@pytest.fixture
def system(any_system: System) -> System:
    """The one system, running."""
    any_system.running()
    return any_system


@pytest.fixture
def elsewhere(project: Path, tmp_path: Path, artifacts: Path, request) -> Iterator[System]:
    """A system of this test's own, not started yet."""
    system = System(project, tmp_path / "elsewhere")
    yield system
    _keep_logs(system, artifacts, f"up-logs-{request.node.callspec.id}")
    system.kill_everything()


def _keep_logs(system: System, artifacts: Path, name: str = "up-logs") -> None:
    target = artifacts / name
    shutil.rmtree(target, ignore_errors=True)
    with suppress(OSError):
        shutil.copytree(system.home / "logs", target)
        shutil.copy(system.log, target / "up.log")
