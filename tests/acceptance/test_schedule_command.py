# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A second terminal beside the running system: `tickrelay schedule` finds everything in the home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tickrelay_messaging.ledger import open_ledger

TICKRELAY = Path(sys.executable).parent / "tickrelay"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def schedule(system, eventually, tmp_path):
    """`schedule(ARGS...)`, in a folder with the home `.tickrelay` and an environment with nothing of ours."""
    (tmp_path / ".tickrelay").symlink_to(system.home)
    bare = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TICKRELAY_", "AIRFLOW_")) and name != "COLUMNS"
    }

    def call(*args):
        command = [TICKRELAY, "schedule", *args]
        done = subprocess.run(
            command, env=bare, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def every_schedule_is_known():
        return system.api("dags?dag_id_pattern=cache_refresh")["total_entries"]

    eventually(every_schedule_is_known, within=60, every=0.5)
    return call


def test_list_needs_no_option(schedule):
    """Every schedule of the system, in words."""
    assert {"cache_refresh", "daily_report", "heartbeat", "order_sync"} <= {
        one["dag_id"] for one in json.loads(schedule("list", "--json"))
    }
    assert "Every 15 minutes" in schedule("list")


def test_pause_and_resume(schedule, system):
    """Paused means: in Airflow, and revoked in the system's ledger; resume undoes both; the trail has them."""
    schedule("pause", "heartbeat", "--reason", "quiet please")
    with open_ledger(f"sqlite:///{system.home}/ledger.db") as ledger:
        assert ["quiet please"] == [one.reason for one in ledger.revocations.list("local/heartbeat")]
        assert system.api("dags/heartbeat")["is_paused"]
        schedule("resume", "heartbeat")
        assert [] == ledger.revocations.list("local/heartbeat")
    assert not system.api("dags/heartbeat")["is_paused"]
    changes = json.loads(schedule("history", "heartbeat", "--json"))["changes"]
    assert ["schedule resumed", "revocation lifted", "schedule paused", "revoked"] == [
        one["what"] for one in changes[:4]
    ]


def test_a_skipped_tick_is_told_as_skipped(schedule, eventually):
    """A tick left out isn't published, its decision says who left it out, and the one after is fired."""
    (left_out,) = json.loads(schedule("skip-next", "heartbeat", "--reason", "for a test", "--json"))["facts"][
        "skipped"
    ]

    def the_tick_after_it_was_decided():
        decisions = json.loads(schedule("history", "heartbeat", "--json"))["decisions"]
        found = {one["tick"]: one for one in decisions}
        return found if left_out in found and max(found) > left_out else None

    found = eventually(the_tick_after_it_was_decided, within=180, every=2)
    assert "skipped" == found[left_out]["outcome"]
    assert "for a test" in found[left_out]["reason"]
    assert "fired" == found[max(found)]["outcome"]


def test_set_takes_effect(schedule, system, eventually):
    """The entry is changed in the running system's own file, and Airflow ticks by it without a restart."""
    before = (system.dags / "schedules.yaml").read_text()
    diff = schedule("set", "cache_refresh", "*/10 * * * *", "--reason", "fresher")
    after = (system.dags / "schedules.yaml").read_text()

    assert before.replace("*/15", "*/10") == after
    assert '+    cron: "*/10 * * * *"' in diff

    def airflow_has_read_it():
        return "*/10 * * * *" == json.loads(schedule("show", "cache_refresh", "--json"))["expression"]

    eventually(airflow_has_read_it, within=60, every=1)
