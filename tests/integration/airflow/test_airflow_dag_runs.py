# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Whole DAG runs in Airflow's own machinery: templates, mapping, deferral and XCom are the real ones."""

from __future__ import annotations

import runpy
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("airflow_db")

DAGS = Path(__file__).parents[3] / "dags"
SCHEMA = (
    "CREATE TABLE orders (order_id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, "
    "amount_cents INTEGER NOT NULL, created_at TEXT NOT NULL, run_id TEXT)"
)


def test_order_sync(hook, bundle, consumer, tmp_path, monkeypatch):
    """Orders in the shop's table become messages, are carried out once each, and the run is green."""
    monkeypatch.setenv("TICKRELAY_SHOP", str(tmp_path / "shop.db"))
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute(SCHEMA)
        row = "INSERT INTO orders (customer, amount_cents, created_at) VALUES ('ann', 5, 'now')"
        for _ in range(3):
            shop.execute(row)
    dag = _dag_of("order_sync")
    bundle(dag)
    carried_out = consumer("orders")

    first = dag.test()
    second = dag.test()

    assert ("success", "success") == (first.state, second.state)
    assert [1, 2, 3] == sorted(order["order_id"] for order in carried_out)
    counts = [
        batch.count
        for run in (first, second)
        for batch in hook.ledger.batches.find(dag_id=dag.dag_id, run_id=run.run_id)
    ]
    assert [3, 0] == counts


def test_heartbeat(hook, bundle):
    """The heart beats."""
    dag = _dag_of("heartbeat")
    bundle(dag)

    assert "success" == dag.test().state
    assert 1 == len(hook.broker.peek("heartbeat"))


def test_mapped_decorated_and_manual(hook, bundle, consumer):
    """Mapped and decorated publishing tasks, in a run without a logical date; the sensor finds them all."""
    from airflow.sdk import DAG, task

    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.sensor import QueueSensor

    with DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        mapped = PublishToQueueOperator.partial(task_id="mapped", queue="jobs").expand(
            data=[{"n": 1}, {"n": 2}]
        )

        @task
        def numbers():
            return [3, 4]

        @task.publish(queue="jobs", id="n")
        def decorated(given, run_id=None):
            for number in given:
                yield {"n": number, "run": run_id}

        @task.publish(queue="jobs")
        def each(number):
            return {"n": number}

        [mapped, decorated(numbers()), each.expand(number=[5, 6])] >> QueueSensor(
            task_id="wait", queue="jobs", until="settled"
        )
    bundle(dag)
    carried_out = consumer("jobs")
    run = dag.test(run_conf={})

    assert "success" == run.state
    assert [1, 2, 3, 4, 5, 6] == sorted(job["n"] for job in carried_out)
    assert run.run_id == next(job["run"] for job in carried_out if job["n"] == 3)


def test_a_message_reaches_a_task(hook, bundle):
    """What another system puts on the queue arrives in the DAG as XCom."""
    from airflow.sdk import DAG, task

    from tickrelay_airflow.sensor import QueueSensor
    from tickrelay_messaging.brokers.base import QueueSpec
    from tickrelay_messaging.message import Message

    seen = []
    with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def use(message):
            seen.append(message["data"])

        use(QueueSensor(task_id="wait", queue="inbox", match={"type": "go"}, timeout=30).output)
    bundle(dag)
    hook.broker.declare(QueueSpec("inbox", ("airflow",)))
    hook.broker.publish("inbox", [Message.of("no", type="stay"), Message.of("yes", type="go")])

    assert "success" == dag.test().state
    assert ["yes"] == seen


def test_a_failed_publish_is_no_green_task(hook, bundle):
    """Whatever keeps a message from being confirmed fails the task."""
    from airflow.sdk import DAG

    from tickrelay_airflow.publish import PublishToQueueOperator

    with DAG("failing", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        PublishToQueueOperator(task_id="publish", queue="jobs", data=1, declare=False)
    bundle(dag)

    assert "failed" == dag.test().state


def _dag_of(name: str):
    from airflow.sdk import DAG

    found = runpy.run_path(str(DAGS / f"{name}.py"))
    return next(dag for dag in found.values() if isinstance(dag, DAG))
