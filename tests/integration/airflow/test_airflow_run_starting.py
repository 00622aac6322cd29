# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages that start DAG runs, against Airflow's real API server: once each, whatever dies or is down in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.services.process import free_ports

from tickrelay_consumer import Consumer
from tickrelay_consumer.breaker import CircuitOpen
from tickrelay_consumer.dag_runs import DagRunSettings, start_runs
from tickrelay_consumer.dag_runs.airflow_api import AirflowApi
from tickrelay_consumer.dag_runs.handler import run_id_of
from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import ConfigurationError, DeadLetter
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter
from tickrelay_messaging.message import Message

pytestmark = pytest.mark.timeout(180)

DAG_ID = "per_message"
_MAIN = "from tickrelay_consumer.commands import main; main()"


@contextmanager
def serving(app, port: int):
    """The API server over real HTTP, in a thread."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def api(airflow_app, port):
    """The address of a running API server."""
    with serving(airflow_app, port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def login(airflow_app) -> dict[str, str]:
    """The password that Airflow's simple auth manager has made up for its administrator."""
    file = Path(os.environ["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
    if not file.exists():
        from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

        SimpleAuthManager().init()
    return {"user": "admin", "password": json.loads(file.read_text())["admin"]}


@pytest.fixture
def dag(bundle):
    """A DAG without a schedule that wants a mapping as data; its runs stay queued, as nobody schedules."""
    from airflow.sdk import DAG, Param, task
    from airflow.utils.session import create_session

    with DAG(
        DAG_ID,
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        params={"data": Param({}, type="object")},
    ) as made:

        @task
        def work():
            pass

        work()
    bundle(made)
    yield made
    from airflow.models.dagrun import DagRun

    with create_session() as session:
        session.query(DagRun).filter(DagRun.dag_id == DAG_ID).delete()


@pytest.fixture
def site(tmp_path):
    """URLs of a queue with its group, and of a ledger."""
    urls = {"broker": f"sqlite:///{tmp_path}/queue.db", "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    with open_broker(urls["broker"]) as broker:
        broker.declare(QueueSpec("jobs"))
    return urls


def send(site, *messages: Message) -> None:
    with open_broker(site["broker"]) as broker:
        broker.publish("jobs", messages)


def job(number: int, **attributes) -> Message:
    return Message.of({"n": number}, id=f"m{number}", **attributes)


def settings(api: str, login: dict[str, str], **more) -> DagRunSettings:
    return DagRunSettings.load(
        **{"queue": "jobs", "dag": DAG_ID, "url": api, "pause": 0.2, "max_queued": 1_000, **login, **more}
    )


@contextmanager
def consuming(site, *given: DagRunSettings):
    """A consumer in a thread."""
    consumer = Consumer(**site)
    for one in given:
        start_runs(consumer, one)
    thread = threading.Thread(target=consumer.run, kwargs={"signals": False}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        consumer.stop()
        thread.join(30)


def runs() -> list:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(DagRun).filter(DagRun.dag_id == DAG_ID).order_by(DagRun.id).all()
        session.expunge_all()
        return found


def numbers() -> list[int]:
    return sorted(run.conf["data"]["n"] for run in runs())


def test_a_run_for_each_message(site, api, login, dag, eventually):
    """Its id is made of the message's, its conf is the message; a run has no logical date."""
    with consuming(site, settings(api, login)):
        send(site, job(1, key="k", headers={"h": "v"}), job(2))
        eventually(lambda: len(runs()) == 2)

    found = {run.conf["id"]: run for run in runs()}
    assert {"m1", "m2"} == found.keys()
    assert run_id_of(job(1), settings(api, login)) == found["m1"].run_id
    assert ({"n": 1}, "k", {"h": "v"}) == tuple(found["m1"].conf[name] for name in ("data", "key", "headers"))
    assert found["m1"].logical_date is None


def test_a_run_for_each_key(site, api, login, dag, eventually):
    """The first message of a key starts its run, later ones find it there; one without a key is a dead letter."""
    with consuming(site, settings(api, login, per="key")), open_ledger(site["ledger"]) as ledger:
        send(site, job(1, key="a"))
        eventually(lambda: len(runs()) == 1)
        send(site, job(2, key="a"), job(3, key="b"), job(4))
        eventually(lambda: sum(row.done for row in ledger.history.stats()) == 3)
        (letter,) = eventually(lambda: ledger.dead_letters.list(DeadFilter()))

    assert [1, 3] == numbers()
    assert "no key" in letter.error


def test_killed_between_the_run_and_the_acknowledgement(site, api, login, dag):
    """SIGKILL after Airflow has the run and before anybody else knows: the next consumer finds it there."""
    send(site, job(1), job(2))
    environment = {
        **os.environ,
        "TICKRELAY_BROKER": site["broker"],
        "TICKRELAY_LEDGER": site["ledger"],
        "TICKRELAY_DAG_RUN_URL": api,
        "TICKRELAY_DAG_RUN_DAG": DAG_ID,
        "TICKRELAY_DAG_RUN_QUEUE": "jobs",
        "TICKRELAY_DAG_RUN_USER": login["user"],
        "TICKRELAY_DAG_RUN_PASSWORD": login["password"],
    }
    command = [sys.executable, "-c", _MAIN, "consume", "tickrelay_consumer.dag_runs"]
    killed = subprocess.run(
        [*command, "--workers", "1"],
        env={**environment, "TICKRELAY_FAILPOINTS": "consumer.after_effect=kill"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    after_kill = numbers()
    ended = subprocess.run(
        [*command, "--until-empty", "1"],
        env=environment,
        capture_output=True,
        timeout=60,
        text=True,
        check=False,
    )

    assert -signal.SIGKILL == killed.returncode
    assert 1 == len(after_kill)
    assert (0, [1, 2]) == (ended.returncode, numbers()), ended.stderr
    assert "DAG run was there" in ended.stderr + ended.stdout
    assert login["password"] not in ended.stderr + ended.stdout + str(killed.stderr) + str(killed.stdout)


def test_what_airflow_refuses_is_a_dead_letter(site, api, login, dag, eventually):
    """A conf that the DAG's parameters forbid can never be started; what is behind it is."""
    with consuming(site, settings(api, login)), open_ledger(site["ledger"]) as ledger:
        send(site, Message.of("no mapping", id="bad"), job(1))
        (letter,) = eventually(lambda: ledger.dead_letters.list(DeadFilter()))
        eventually(lambda: len(runs()) == 1)

    assert ("bad", 1) == (letter.message_id, letter.attempts)
    assert "400" in letter.error


def test_airflow_is_down(site, airflow_app, login, dag, eventually):
    """It is waited for, and no message loses an attempt by it."""
    (port,) = free_ports(1)
    with (
        consuming(site, settings(f"http://127.0.0.1:{port}", login)),
        open_ledger(site["ledger"]) as ledger,
    ):
        send(site, job(1), job(2))
        time.sleep(2)  # several pauses of the breaker
        assert [] == runs()
        with serving(airflow_app, port):
            eventually(lambda: len(runs()) == 2)
            eventually(lambda: sum(row.done for row in ledger.history.stats()) == 2)
        assert {1} == {life.attempts for name in ("m1", "m2") for life in ledger.history.life(name)}


def test_no_more_than_may_be_queued(site, api, login, dag, eventually):
    """While too many runs are queued nothing is fetched and no attempt spent; it goes on when there is room."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with consuming(site, settings(api, login, max_queued=3)), open_ledger(site["ledger"]) as ledger:
        send(site, *map(job, range(8)))
        eventually(lambda: len(runs()) == 3)
        time.sleep(2)  # several pauses of the breaker
        assert 3 == len(runs())
        with create_session() as session:
            session.query(DagRun).filter(DagRun.dag_id == DAG_ID).update({"state": "success"})
        eventually(lambda: len(runs()) == 6)
        time.sleep(1.5)
        assert 6 == len(runs())
        with create_session() as session:
            session.query(DagRun).filter(DagRun.dag_id == DAG_ID).update({"state": "success"})
        eventually(lambda: sum(row.done for row in ledger.history.stats()) == 8)

        assert list(range(8)) == numbers()
        assert {1} == {life.attempts for number in range(8) for life in ledger.history.life(f"m{number}")}


def test_the_token_is_renewed(api, login, dag):
    """One that has expired is replaced by a new one, in the middle of the work; a given one can't be, and says so."""
    client = AirflowApi(settings(api, login))
    client._token = "expired"
    given = AirflowApi(settings(api, {}, token="expired"))

    assert 0 == client.queued()
    with pytest.raises(CircuitOpen, match=r"40[13]"):
        given.queued()


def test_faults_that_are_no_message_s(api, login, dag, bundle):
    """A wrong password, an unknown DAG, a broken one: the handler waits, and no message is to blame."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with pytest.raises(CircuitOpen, match=r"gives no token \(401\)"):
        AirflowApi(settings(api, {"user": "admin", "password": "wrong"})).queued()
    with pytest.raises(CircuitOpen, match="404"):
        AirflowApi(settings(api, login, dag="unknown")).start_run("r", {})
    for broken in (True, False):
        with create_session() as session:
            session.query(DagModel).filter(DagModel.dag_id == DAG_ID).update({"has_import_errors": broken})
        with pytest.raises(CircuitOpen if broken else DeadLetter, match="400"):
            AirflowApi(settings(api, login)).start_run("tickrelay__x", {"data": 1})


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"url": "ftp://x"}, "TICKRELAY_DAG_RUN_URL: must be http"),
        ({"url": "http://u:p@host"}, "without a password"),
        ({"user": "u"}, "go together"),
        ({"user": "u", "password": "p", "token": "t"}, "not both"),
        ({"per": "day"}, "TICKRELAY_DAG_RUN_PER"),
        ({"dag": "a/b"}, "TICKRELAY_DAG_RUN_DAG"),
        ({"max_queued": 0}, "TICKRELAY_DAG_RUN_MAX_QUEUED"),
    ],
)
def test_settings_name_what_is_wrong(given, match):
    """Bad settings are refused before anything is fetched, by the variable's name and without its value."""
    with pytest.raises(ConfigurationError, match=match):
        DagRunSettings.load(**{"queue": "q", "dag": "d", "url": "http://h", **given})


def test_missing_settings(monkeypatch):
    """The command without its environment says which variables it needs."""
    from tickrelay_consumer.commands._target import load_consumer

    for name in [name for name in os.environ if name.startswith("TICKRELAY_DAG_RUN_")]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match="TICKRELAY_DAG_RUN_QUEUE is missing"):
        load_consumer("tickrelay_consumer.dag_runs")
