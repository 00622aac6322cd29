# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay up` as a person meets it: changes while it runs, a second one, a stop, a kill, a run with an end."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.timeout(240)

TICKRELAY = Path(sys.executable).with_name("tickrelay")
AIRFLOW = Path(sys.executable).with_name("airflow")

DROPPED = """
from datetime import UTC, datetime

from airflow.sdk import DAG
from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.timetable import CronSchedule

with DAG("dropped", schedule=CronSchedule("*/2 * * * * ?"), start_date=datetime(2026, 1, 1, tzinfo=UTC),
         catchup=False, max_active_runs=1):
    PublishToQueueOperator(task_id="publish", queue="maintenance", data={"task": "dropped", "region": "eu"})
"""

ENTRY = """
  - name: added_while_running
    cron: "*/2 * * * * ?"
    queue: maintenance
    data: { task: added, region: eu }
"""


def test_another_up_in_the_same_home_is_refused(system):
    """Two systems in one home would fight over its files: the second says so and leaves the first alone."""
    second = subprocess.run(
        [TICKRELAY, "up", "--home", system.home],
        check=False,
        cwd=system.project,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (2, True) == (second.returncode, "in use by another" in second.stderr), second.stderr
    assert system.alive


def test_what_lies_in_the_home_is_private(system):
    """Keys, queue and ledger are readable by their owner only."""
    names = ("secrets.json", "airflow/airflow.cfg", "env", "queue.db", "ledger.db")

    modes = {name: stat.S_IMODE((system.home / name).stat().st_mode) for name in names}

    assert dict.fromkeys(names, 0o600) == modes
    assert stat.S_IMODE(system.home.stat().st_mode) == 0o700


def _listening(process):
    try:
        connections = process.net_connections("inet")
    except psutil.NoSuchProcess:
        return []  # a task's process, which has ended since it was listed
    return [connection.laddr.ip for connection in connections if connection.status == "LISTEN"]


def test_nothing_listens_beyond_this_host(system):
    """Everybody who reaches the pages is an administrator, so only this host may."""
    listening = {address for process in system.processes() for address in _listening(process)}

    assert {"127.0.0.1"} == listening


def test_a_new_dag_file_runs_within_seconds(system, eventually):
    """A file dropped into the DAG folder is found, unpaused and run without a restart."""
    (system.dags / "dropped.py").write_text(DROPPED)

    def the_dropped_dag_has_run():
        return system.successes("dropped")

    assert eventually(the_dropped_dag_has_run, within=90, every=0.5)
    (system.dags / "dropped.py").unlink()


def test_a_change_of_schedules_yaml_takes_effect(system, eventually):
    """An entry added to schedules.yaml is a DAG that runs, without a restart."""
    with (system.dags / "schedules.yaml").open("a") as file:
        file.write(ENTRY)

    def the_added_schedule_has_run():
        return system.successes("added_while_running")

    assert eventually(the_added_schedule_has_run, within=90, every=0.5)


def test_airflow_dags_trigger_works_from_another_terminal(system, eventually):
    """With the home's `env` file read, Airflow's own command line talks to this Airflow; a manual run ends well."""
    subprocess.run(
        [AIRFLOW, "dags", "trigger", "order_sync"],
        env=system.environment(),
        check=True,
        capture_output=True,
        timeout=60,
    )

    def the_manual_run_has_ended_well():
        return system.successes("order_sync", "manual")

    assert eventually(the_manual_run_has_ended_well, within=90, every=0.5)


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["consumer", "scheduler", "keeper"])
def test_a_component_that_is_killed_comes_back(system, eventually, name):
    """Whoever is killed, the orders go on: each of them is started again by its parent."""
    victims = {identity.name: identity for identity in _identities(system)}
    for process in victims[name].members() if name != "keeper" else [_process(victims[name].pid)]:
        process.kill()
    before = system.effects()

    def orders_go_on():
        return system.effects() > before + 8

    assert eventually(orders_go_on, within=75, every=0.5)


def test_sigterm_stops_everything(system):
    """SIGTERM ends the command with 0 in a bounded time and leaves no process."""
    assert 0 == system.stop()
    assert [] == system.processes()


@pytest.mark.chaos
def test_after_sigkill_of_everything_the_next_start_carries_on(system):
    """
    SIGKILL of the whole tree at any moment, then a run with an end: it exits 0 with one JSON line, nothing that was
    published in this home's whole life is lost or done twice, and no process is left.
    """
    before = system.effects()
    system.kill_everything()
    assert [] == system.processes()

    second = system.start("--for", "45", "--json", "--rate", "4")
    output, _ = second.communicate(timeout=150)

    (line,) = output.splitlines()
    end = json.loads(line)
    assert 0 == second.returncode, line
    assert (0, 0, 0) == (end["lost"], end["duplicates"], end["pending"]), line
    assert end["effects"] == end["published"] > before
    assert end["ticks"] > 0
    assert end["seconds_to_first_effect"] < 40
    assert [] == system.processes()


def test_help_says_what_is_counted():
    """The words of the JSON line are explained where a person looks first."""
    text = subprocess.check_output([TICKRELAY, "up", "--help"], text=True, timeout=30)

    assert all(word in text for word in ("published", "effects", "duplicates", "lost", "Exit code"))


def test_bad_options_are_refused_before_anything_starts(tmp_path):
    """A folder or consumer that isn't there is a sentence and exit code 2, not a half-started system."""
    for option, value in (("--dags", "nowhere"), ("--consumer", "nowhere.py:consumer")):
        command = [TICKRELAY, "up", "--home", tmp_path / "home", option, value]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[2]
        )
        assert (2, True) == (done.returncode, "nowhere" in done.stderr), textwrap.shorten(done.stderr, 300)


def _identities(system):
    from tickrelay_airflow.local.processes import load

    return load(system.home / "processes.json")


def _process(pid):
    import psutil

    return psutil.Process(pid)
