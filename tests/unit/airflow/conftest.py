# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Airflow without a database: a home of its own, one connection, and task instances made of attributes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def urls(tmp_path):
    """Broker and ledger URLs of files of this test's own."""
    return {"broker": f"sqlite:///{tmp_path}/queue.db", "ledger": f"sqlite:///{tmp_path}/ledger.db"}


@pytest.fixture
def hook(urls, monkeypatch):
    """The default connection's hook; whatever was opened is closed afterwards."""
    from tickrelay_airflow.connection import pool
    from tickrelay_airflow.hook import QueueHook

    connect(monkeypatch, urls)
    yield QueueHook()
    pool.close()


@pytest.fixture
def own_hubs(monkeypatch):
    """Hubs of this test only, and no patience where nothing is to come."""
    from tickrelay_airflow.triggers.hub import Hub
    from tickrelay_airflow.waiting import collecting

    monkeypatch.setattr(Hub, "_shared", {})
    monkeypatch.setattr(collecting, "PATIENCE", 0.05)


def connect(monkeypatch, extra: dict[str, Any], conn_id: str = "tickrelay_default") -> None:
    """Define an Airflow connection in the environment."""
    text = json.dumps({"conn_type": "tickrelay", "extra": extra})
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)


@pytest.fixture
def connection(monkeypatch):
    """Define further connections: `connection(extra, conn_id)`."""
    return lambda extra, conn_id="tickrelay_default": connect(monkeypatch, extra, conn_id)


@pytest.fixture
def context():
    """Make the context of a task instance: `context(task_id=..., run_id=..., xcom={task_id: value})`."""

    def make(xcom: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
        given = {"dag_id": "shop", "run_id": "run-1", "task_id": "publish", "map_index": -1, "max_tries": 0}
        ti = SimpleNamespace(**{**given, "try_number": 1, "context_carrier": None, **attributes})
        ti.xcom_pull = lambda task_ids, **_: (xcom or {}).get(task_ids)
        run = SimpleNamespace(run_after=datetime.now(UTC) - timedelta(minutes=5))
        return {"ti": ti, "run_id": ti.run_id, "dag_run": run, "outlet_events": {}}

    return make


@pytest.fixture
def received(hook):
    """Everything on a queue, as messages: `received("orders")`."""
    from tickrelay_messaging.envelope import decode

    return lambda queue: [decode(one.headers, one.body) for one in hook.broker.peek(queue, limit=100_000)]


@pytest.fixture
def carry_out(hook):
    """
    A consumer in a nutshell: `carry_out("orders")` receives, claims, settles and acknowledges what is there.
    """
    from tickrelay_messaging.envelope import decode
    from tickrelay_messaging.ledger.records import Failure, Outcome, Route, Settlement, Verdict

    def work(queue: str, *, group: str = "default", verdict: Verdict = Verdict.DONE) -> int:
        route = Route(queue, group, "sync")
        owner = hook.ledger.enroll("test", [route])
        failure = Failure("ValueError", "no") if verdict is Verdict.DEAD else None
        with hook.broker.subscribe(queue, group) as subscription:
            deliveries = subscription.receive(1_000)
            claims = hook.ledger.claim(owner, route, [decode(one.headers, one.body) for one in deliveries])
            mine = [claim for claim in claims if claim.outcome is Outcome.RUN]
            hook.ledger.settle(owner, [Settlement(claim, verdict, failure=failure) for claim in mine])
            subscription.acknowledge(deliveries)
        hook.ledger.retire(owner)
        return len(mine)

    return work
