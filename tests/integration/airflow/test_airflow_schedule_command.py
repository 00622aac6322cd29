# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay schedule` against a real API server, over HTTP, by people with and without rights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.services.airflow import api_server

from tickrelay_airflow.control.revoking import kind_of
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.schedules import TickDecision, TickOutcome

ID = "airflow/nightly"
TICKRELAY = Path(sys.executable).parent / "tickrelay"


@pytest.fixture(scope="session")
def address(airflow_app):
    """Of the API server."""
    with api_server(airflow_app) as found:
        yield found


@pytest.fixture
def schedule(address, nightly, hook, tmp_path, monkeypatch):
    """`schedule(ARGS...)`: exit code, standard output, standard error; in an empty directory, as an operator."""
    for name in [name for name in os.environ if name.startswith("TICKRELAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("TICKRELAY_AIRFLOW_URL", address)
    monkeypatch.setenv("TICKRELAY_LEDGER", hook.settings.ledger)
    assert hook.ledger.id  # made, as a consumer would have

    # A process of its own: the API server, in this one, writes its log to standard output.
    def call(*args: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [TICKRELAY, "schedule", *args], check=False, capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def op(token, monkeypatch):
    """The operator's token in the environment."""
    monkeypatch.setenv("TICKRELAY_AIRFLOW_TOKEN", token("op"))


@pytest.fixture
def viewer(token, monkeypatch):
    """The viewer's."""
    monkeypatch.setenv("TICKRELAY_AIRFLOW_TOKEN", token("viewer"))


def paused() -> bool:
    """What Airflow's own database says."""
    from airflow.models.dag import DagModel

    return DagModel.get_dagmodel("nightly").is_paused


class TestLogin:
    def test_by_password(self, schedule, monkeypatch):
        """A user and a password are changed for a token."""
        passwords = Path(os.environ["AIRFLOW_HOME"], "simple_auth_manager_passwords.json.generated")
        monkeypatch.setenv("TICKRELAY_AIRFLOW_USER", "admin")
        monkeypatch.setenv("TICKRELAY_AIRFLOW_PASSWORD", json.loads(passwords.read_text())["admin"])

        assert 0 == schedule("list")[0]

    @pytest.mark.parametrize("user", ["admin", None])
    def test_refused(self, schedule, monkeypatch, user):
        """A wrong password, or none where one is needed: one line that says what to set, without the password."""
        if user:
            monkeypatch.setenv("TICKRELAY_AIRFLOW_USER", user)
            monkeypatch.setenv("TICKRELAY_AIRFLOW_PASSWORD", "guessed-wrong")
        code, out, err = schedule("list")

        assert (1, "") == (code, out)
        assert "TICKRELAY_AIRFLOW_PASSWORD, or TICKRELAY_AIRFLOW_TOKEN" in err
        assert "guessed-wrong" not in err

    def test_a_bad_token(self, schedule, monkeypatch):
        """A token that isn't Airflow's is refused in words."""
        monkeypatch.setenv("TICKRELAY_AIRFLOW_TOKEN", "e30.e30.x")

        assert 1 == schedule("list")[0]


class TestReading:
    def test_many_at_once(self, schedule, address, token):
        """More questions at once than Airflow has threads for its routes: all are answered, none waits for another."""
        headers = {"Authorization": f"Bearer {token('viewer')}"}

        def ask(_):
            return httpx.get(f"{address}/tickrelay/api/schedules", headers=headers, timeout=60).status_code

        with ThreadPoolExecutor(80) as threads:
            assert {200} == set(threads.map(ask, range(80)))

    def test_list(self, schedule, viewer):
        """Every schedule in words, with its zone and next tick; a viewer may read."""
        code, out, _ = schedule("list")
        (line,) = [line for line in out.splitlines() if line.strip().startswith("nightly")]

        assert 0 == code
        assert "theirs" not in out
        for text in ("0 30 2 ? * *", "At 02:30 (Europe/Berlin)", " 02:30:00 CE", " on "):
            assert text in line

    def test_list_json(self, schedule, viewer):
        """The same for programs."""
        found = json.loads(schedule("list", "--json")[1])

        assert ["airflow/nightly"] == [one["schedule"] for one in found if one["dag_id"] == "nightly"]

    def test_show(self, schedule, op):
        """Five ticks, runs, revocations in force and the misfires of the last day."""
        schedule("trigger", "nightly", "--run-id", "shown")
        schedule("skip-next", "nightly", "--count", "2", "--reason", "holiday")
        _, out, _ = schedule("show", "nightly")
        found = json.loads(schedule("show", "nightly", "--json")[1])

        assert 2 == out.count("left out by revocation")
        assert "holiday" in out
        assert "shown" in out
        assert 5 == len(found["next"])
        assert ["skip", "skip"] == [one["kind"] for one in found["revocations"]]

    @pytest.mark.parametrize(
        ("verb", "name"), [("show", "nobody"), ("pause", "theirs"), ("trigger", "../etc"), ("history", "~")]
    )
    def test_no_such_schedule(self, schedule, op, verb, name):
        """A name that is no schedule's is the caller's mistake, whatever the verb."""
        assert 2 == schedule(verb, name)[0]

    def test_history(self, schedule, op, hook):
        """What became of each tick with the reason, and who changed what."""
        now = hook.ledger.now()
        hook.ledger.schedules.record(
            [
                TickDecision(schedule=ID, tick=now - 60, outcome=TickOutcome.MISFIRED, reason="99 s late"),
                TickDecision(schedule=ID, tick=now, outcome=TickOutcome.FIRED),
            ]
        )
        schedule("pause", "nightly", "--reason", "too many")
        out = schedule("history", "nightly")[1]
        missed = json.loads(schedule("history", "nightly", "--outcome", "misfired", "--json")[1])

        for text in ("fired", "misfired", "99 s late", "schedule paused", "too many"):
            assert text in out
        assert ["99 s late"] == [one["reason"] for one in missed["decisions"]]
        assert 1 == json.loads(schedule("show", "nightly", "--json")[1])["misfires"]


class TestChanging:
    def test_pause_and_resume(self, schedule, op, hook):
        """Both halves, each once however often it is said, and undone by resume."""
        first = schedule("pause", "nightly", "--reason", "audit week")
        (pause,) = hook.ledger.revocations.list(ID)
        held = paused()
        again, back, nothing = (schedule(verb, "nightly") for verb in ("pause", "resume", "resume"))

        assert [0] * 4 == [answer[0] for answer in (first, again, back, nothing)]
        assert ("pause", "audit week", True) == (kind_of(pause), pause.reason, held)
        assert pause.by.startswith("cli:")
        assert "nightly was paused" in again[2]
        assert "nightly was not paused" in nothing[2]
        assert ([], False) == (hook.ledger.revocations.list(ID), paused())

    @pytest.mark.parametrize("verb", ["pause", "resume", "trigger", "skip-next"])
    def test_a_viewer_may_not(self, schedule, viewer, hook, verb):
        """Who may only see the DAG changes nothing, in the ledger neither, whose URL they may have."""
        code, _, err = schedule(verb, "nightly")

        assert 1 == code
        assert "not edit it; nothing was changed" in err
        assert ([], False) == (hook.ledger.revocations.list(), paused())

    def test_pause_without_the_ledger(self, schedule, op, monkeypatch, tmp_path):
        """Airflow is paused all the same; the error says what holds and what to do; saying it again does the rest."""
        url = os.environ["TICKRELAY_LEDGER"]
        monkeypatch.setenv("TICKRELAY_LEDGER", f"sqlite:///{tmp_path}/not-there.db")
        half = schedule("pause", "nightly")
        held = paused()
        monkeypatch.setenv("TICKRELAY_LEDGER", url)
        whole = schedule("pause", "nightly")

        assert (1, True) == (half[0], held)
        assert "nightly is paused in Airflow" in half[2]
        assert "those already out are not revoked" in half[2]
        assert 0 == whole[0]
        with open_ledger(url) as ledger:
            assert 1 == len(ledger.revocations.list(ID))

    def test_another_ledger(self, schedule, op, monkeypatch, tmp_path):
        """A ledger that isn't Airflow's gets nothing: no consumer would ever look into it."""
        other = f"sqlite:///{tmp_path}/other.db"
        with open_ledger(other) as ledger:
            monkeypatch.setenv("TICKRELAY_LEDGER", other)
            code, _, err = schedule("skip-next", "nightly")

            assert [] == ledger.revocations.list()
        assert 2 == code
        assert "Airflow's connection uses" in err

    def test_trigger(self, schedule, op):
        """A run with its conf; a paused schedule says that it will wait."""
        schedule("pause", "nightly")
        answer = json.loads(schedule("trigger", "nightly", "--conf", '{"a": 1}', "--json")[1])

        assert answer["changed"]
        assert "waits for `resume`" in answer["text"]

    def test_skip_and_undo(self, schedule, op, hook):
        """The next tick, said twice, is one tick; undone it is carried out."""
        first = json.loads(schedule("skip-next", "nightly", "--json")[1])
        again = json.loads(schedule("skip-next", "nightly", "--json")[1])
        undone = json.loads(schedule("skip-next", "nightly", "--undo", "--json")[1])

        assert [True, False, True] == [one["changed"] for one in (first, again, undone)]
        assert first["facts"]["new"] == undone["facts"]["restored"]
        assert [] == hook.ledger.revocations.list(ID)

    def test_set_points_at_a_python_file(self, schedule, op):
        """A DAG in Python is left alone: its file, and the change to make there."""
        code, out, err = schedule("set", "nightly", "@hourly", "--zone", "Asia/Tokyo")

        assert 1 == code
        assert "conftest.py:" in out
        assert '-> schedule = CronSchedule("@hourly", timezone="Europe/Berlin", gap="shift")' in out
        assert "timezone 'Asia/Tokyo'" in err
