# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`QueueSensor` on every broker: deferred and in the worker, taking and only looking, with real servers."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.services.kafka import IMPATIENT, running_kafka
from tests.services.rabbitmq import running_node
from tests.services.redis import running_server
from tests.unit.airflow.sensing import deferral, fired, sensor

from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import LedgerUnavailable
from tickrelay_messaging.message import Message

pytestmark = pytest.mark.timeout(180)

GROUP = "airflow"


@pytest.fixture(scope="module", params=["sqlite", "redis", "rabbitmq", "kafka"])
def broker_url(request, tmp_path_factory):
    """One server a broker."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield f"sqlite:///{folder}/queue.db"
    elif request.param == "redis":
        with running_server(folder) as server:
            yield server.url()
    elif request.param == "rabbitmq":
        with running_node(folder / "node") as node:
            yield node.url()
    else:
        with running_kafka(folder) as node:
            yield node.url(f"partitions=1&{IMPATIENT}")


@pytest.fixture
def hook(broker_url, tmp_path, monkeypatch):
    """The default connection, with a ledger of this test's own."""
    from tickrelay_airflow.connection import pool
    from tickrelay_airflow.hook import QueueHook
    from tickrelay_airflow.triggers.hub import Hub

    extra = {"broker": broker_url, "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    text = json.dumps({"conn_type": "tickrelay", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_TICKRELAY_DEFAULT", text)
    monkeypatch.setattr(Hub, "_shared", {})
    yield QueueHook()
    pool.close()


@pytest.fixture
def queue(hook, request):
    """A queue of this test's own."""
    name = f"q-{abs(hash(request.node.name)) % 10**9}"
    hook.broker.declare(QueueSpec(name, (GROUP,)))
    return name


@pytest.fixture
def context():
    """The context of a task instance."""
    from datetime import UTC, datetime, timedelta
    from types import SimpleNamespace

    def make(task_id="wait"):
        ti = SimpleNamespace(dag_id="d", run_id="r", task_id=task_id, map_index=-1, max_tries=0, try_number=1)
        run = SimpleNamespace(run_after=datetime.now(UTC) - timedelta(minutes=1))
        return {"ti": ti, "run_id": "r", "dag_run": run}

    return make


def test_each_message_to_its_sensor(hook, queue, context):
    """Matches on type, key, headers and body, a sensor that takes anything, and two that only look: all at once."""
    wishes = {
        "type": {"match": {"type": "paid"}},
        "key": {"match": {"key": "k"}},
        "header": {"match": {"headers": {"region": "eu"}}},
        "body": {"match": {"data": {"n": 4}}},
        "look": {"consume": False, "match": {"data": {"n": 4}}},
        "look too": {"consume": False, "match": {"type": "paid"}},
    }
    tasks = {
        name: sensor(task_id=name.replace(" ", "_"), queue=queue, **wish) for name, wish in wishes.items()
    }
    contexts = {name: context(tasks[name].task_id) for name in tasks}
    triggers = {name: deferral(tasks[name], contexts[name]) for name in tasks}
    messages = [
        Message.of({"n": 1}, id="m1", type="paid"),
        Message.of({"n": 2}, id="m2", key="k"),
        Message.of({"n": 3}, id="m3", headers={"region": "eu"}),
        Message.of({"n": 4}, id="m4"),
    ]

    async def wait():
        events = {name: asyncio.create_task(fired(trigger)) for name, trigger in triggers.items()}
        await asyncio.to_thread(hook.broker.publish, queue, messages)
        return {name: await event for name, event in events.items()}

    events = asyncio.run(wait())
    got = {name: tasks[name].execute_complete(contexts[name], events[name])["id"] for name in tasks}

    assert {
        "type": "m1",
        "key": "m2",
        "header": "m3",
        "body": "m4",
        "look": "m4",
        "look too": "m1",
    } == got


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_in_the_worker(hook, queue, context, mode):
    """One look in a worker gets what is there, also where becoming a member of the group takes its time."""
    from datetime import UTC, datetime

    hook.broker.publish(queue, [Message.of({"n": 1}, id="m1"), Message.of({"n": 2}, id="m2", key="k")])
    own = context()
    own["ti"].get_first_reschedule_date = lambda _: datetime.now(UTC)
    task = sensor(queue=queue, deferrable=False, mode=mode, poke_interval=1, match={"key": "k"})

    assert "m2" == task.execute(own)["id"]
    assert "m1" == sensor(task_id="other", queue=queue).execute(context("other"))["id"]


def test_acknowledged_only_once_it_is_kept(hook, queue, context, monkeypatch):
    """A mailbox that fails costs no message: the broker keeps it until it could be put there."""
    from tickrelay_airflow.triggers import receiver

    monkeypatch.setattr(receiver, "PAUSE", 0.1)
    mailbox, failed = hook.ledger.mailbox, []
    put = mailbox.put

    def fail_twice(*arguments):
        if len(failed) < 2:
            failed.append(sum(row.ready + (row.in_flight or 0) for row in hook.broker.stats(queue)))
            raise LedgerUnavailable("gone")
        put(*arguments)

    monkeypatch.setattr(mailbox, "put", fail_twice)
    task, own = sensor(queue=queue), context()
    trigger = deferral(task, own)
    hook.broker.publish(queue, [Message.of({"n": 1}, id="m1")])
    event = asyncio.run(fired(trigger))

    assert "m1" == task.execute_complete(own, event)["id"]
    assert 2 == len(failed)


def test_one_membership_whatever_number_waits(hook, queue, context, eventually):
    """A hundred sensors are one consumer to the broker, and it leaves with the last of them."""
    triggers = [
        deferral(sensor(task_id=f"s{number}", queue=queue), context(f"s{number}")) for number in range(100)
    ]

    def members():
        return sum(row.consumers for row in hook.broker.stats(queue))

    async def wait():
        events = [asyncio.create_task(fired(trigger)) for trigger in triggers]
        await asyncio.to_thread(eventually, members)
        there = members()
        messages = [Message.of(number, id=f"m{number}") for number in range(100)]
        await asyncio.to_thread(hook.broker.publish, queue, messages)
        return there, [event["outcome"]["message_id"] for event in await asyncio.gather(*events)]

    there, got = asyncio.run(wait())

    assert 1 == there
    assert {f"m{number}" for number in range(100)} == set(got)
    assert 100 == len(got)
    eventually(lambda: members() == 0)
