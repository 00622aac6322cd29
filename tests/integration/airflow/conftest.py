# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A real Airflow with a database of its own, one connection, and a tiny consumer."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Airflow pins httpx, which Starlette's test client, a part of Airflow's own `dag.test()`, frowns upon."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Using `httpx` with"))


@pytest.fixture(scope="session")
def airflow_db():
    """Airflow's database, made once."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def airflow_app(airflow_db):
    """Airflow's own API server, pages mounted by the plugin."""
    from airflow.api_fastapi.app import create_app

    return create_app(apps="core")


@pytest.fixture
def hook(tmp_path, monkeypatch):
    """The default connection's hook, on files of this test's own."""
    from tickrelay_airflow.connection import pool
    from tickrelay_airflow.hook import QueueHook
    from tickrelay_airflow.triggers.hub import Hub

    extra = {"broker": f"sqlite:///{tmp_path}/queue.db", "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    monkeypatch.setenv(
        "AIRFLOW_CONN_TICKRELAY_DEFAULT", json.dumps({"conn_type": "tickrelay", "extra": extra})
    )
    monkeypatch.setattr(Hub, "_shared", {})
    yield QueueHook()
    pool.close()


@pytest.fixture
def bundle(airflow_db):
    """Make DAGs known to Airflow, as the DAG processor would: `bundle(dag, ...)`."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    def add(*dags):
        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(os.devnull, bundle_name="dags-folder")
        for dag in dags:
            bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)

    return add


@pytest.fixture
def nightly(airflow_app, bundle):
    """A DAG `nightly` with a `CronSchedule`, not paused, and a DAG `theirs` with another timetable."""
    from airflow.sdk import DAG

    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    start = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = CronSchedule("0 30 2 ? * *", timezone="Europe/Berlin", gap="shift")
    with DAG("nightly", schedule=schedule, start_date=start) as ours:
        PublishToQueueOperator(task_id="publish", queue="orders", data=1)
    with DAG("theirs", schedule="@daily", start_date=start) as theirs:
        PublishToQueueOperator(task_id="publish", queue="orders", data=1)
    bundle(ours, theirs)
    set_paused("nightly", paused=False)


def set_paused(dag_id: str, *, paused: bool) -> None:
    """Whatever a test before has left."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.get(DagModel, dag_id).is_paused = paused


@pytest.fixture
def token(airflow_app):
    """A token of somebody with a role: `token("viewer")`."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def make(role: str) -> str:
        user = SimpleAuthManagerUser(username=f"the-{role}", role=role.upper())
        return get_auth_manager().generate_jwt(user)

    return make


@pytest.fixture
def consumer(hook):
    """A consumer of a queue in a thread: `consumer("orders")` returns the list of what it carried out."""
    ending = threading.Event()
    threads: list[threading.Thread] = []

    def start(queue: str) -> list:
        carried_out: list = []
        thread = threading.Thread(target=_consume, args=(hook, queue, carried_out, ending), daemon=True)
        thread.start()
        threads.append(thread)
        return carried_out

    yield start
    ending.set()
    for thread in threads:
        thread.join(10)


def _consume(hook, queue: str, carried_out: list, ending: threading.Event) -> None:
    """Receive, claim, settle, acknowledge."""
    from tickrelay_messaging.brokers.base import QueueSpec
    from tickrelay_messaging.envelope import decode
    from tickrelay_messaging.ledger.records import Outcome, Route, Settlement, Verdict

    route = Route(queue, "default", "sync")
    hook.broker.declare(QueueSpec(queue))
    owner = hook.ledger.enroll("test", [route])
    with hook.broker.subscribe(queue) as subscription:
        while not ending.is_set():
            deliveries = subscription.receive(100, 0.2)
            claims = hook.ledger.claim(owner, route, [decode(one.headers, one.body) for one in deliveries])
            mine = [claim for claim in claims if claim.outcome is Outcome.RUN]
            carried_out += [claim.message.data for claim in mine]
            hook.ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in mine])
            subscription.acknowledge(deliveries)
            hook.ledger.renew(owner)
    hook.ledger.retire(owner)
