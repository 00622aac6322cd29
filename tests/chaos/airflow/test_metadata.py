# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL is restarted under Airflow and the ledger while sensors wait, a watcher watches and messages come."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.airflow.conftest import Site
from tests.services.airflow_ha.system import SCHEDULERS, TRIGGERERS
from tests.services.waiting import wait_until
from tickrelay_airflow.triggers.events import WATCHERS_GROUP
from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.message import Message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

COMPONENTS = ("dag-processor", "api-server", *SCHEDULERS, *TRIGGERERS)
SENSORS = 6
BELATED = 150.0
"""Seconds: whatever gave up starts again, and counts the others as dead first."""

_DAGS = """
    import json
    from datetime import datetime
    from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
    from airflow.sdk import DAG, Asset, AssetWatcher, task
    from tickrelay_airflow.messages import messages_of
    from tickrelay_airflow.sensor import QueueSensor

    with DAG("restart_waiting", schedule=None, start_date=datetime(2026, 1, 1)):
        QueueSensor.partial(task_id="wait", queue="restart-answers", retries=3, retry_delay=1).expand(
            poke_interval=[60] * @count@
        )

    watched = MessageQueueTrigger(scheme="tickrelay", queue_name="restart-events")
    incoming = Asset("restart_incoming", watchers=[AssetWatcher(name="events", trigger=watched)])

    with DAG("restart_events", schedule=[incoming], start_date=datetime(2026, 1, 1)):

        @task(retries=3, retry_delay=1)
        def note(run_id=None, triggering_asset_events=None):
            ids = [message["id"] for message in messages_of(triggering_asset_events)]
            with open("@file@", "a") as file:
                file.write(json.dumps([run_id, ids]) + "\\n")

        note()
"""
_COUNT = "SELECT count(*) FROM task_instance WHERE dag_id = 'restart_waiting' AND state = %s"
_UNASSIGNED = "SELECT count(*) FROM trigger WHERE triggerer_id IS NULL"


@pytest.fixture
def noted(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both DAGs at work; the file holds what the runs have noted. Afterwards all is started anew for other tests."""
    file = tmp_path_factory.mktemp("noted") / "runs"
    file.touch()
    dags = textwrap.dedent(_DAGS).replace("@count@", str(SENSORS)).replace("@file@", str(file))
    with open_broker(site.broker) as broker:
        broker.declare(QueueSpec("restart-answers"))
        broker.declare(QueueSpec("restart-events", (WATCHERS_GROUP,)))
        (site.airflow.dags / "restart.py").write_text(dags)
        airflow = site.airflow
        airflow.wait(
            lambda: airflow.rows("SELECT 1 FROM dag WHERE dag_id = 'restart_waiting'"), "the DAG isn't found"
        )
        airflow.api("dags/restart_waiting/dagRuns", {"logical_date": None, "dag_run_id": "one"})
        airflow.wait(lambda: airflow.value(_COUNT, "deferred") == SENSORS, "sensors don't wait", BELATED)
        airflow.wait(lambda: not airflow.value(_UNASSIGNED), "nobody takes the triggers")
        airflow.wait(
            lambda: any(row.consumers for row in broker.stats("restart-events")), "nobody watches the queue"
        )
    yield file
    for name in COMPONENTS:
        with suppress(pytest.fail.Exception):
            site.airflow.kill(name)
    site.airflow.start_component("dag-processor", "api-server", SCHEDULERS[0], TRIGGERERS[0])
    site.airflow.start_component(SCHEDULERS[1], TRIGGERERS[1])


def test_nothing_is_missed(site: Site, noted: Path) -> None:
    """Messages from before, from the time without a database and from after: each reaches one sensor, and a run."""
    ids = [f"restart-{number}" for number in range(SENSORS)]
    _publish(site, ids[:2])
    site.postgres.crash()
    _publish(site, ids[2:4])
    site.postgres.start_again()
    _publish(site, ids[4:])

    _await_revived(site, lambda: site.airflow.value(_COUNT, "success") == SENSORS, "sensors still wait")
    assert sorted(ids) == sorted(_given(site))
    _await_revived(site, lambda: set(ids) <= set(_in_runs(noted)), "messages are in no run")


def _await_revived(site: Site, condition: Callable[[], bool], otherwise: str) -> None:
    """Until it's true, while what has given up without its database is started again, as a service manager would."""

    def is_true() -> bool:
        if condition():
            return True
        site.airflow.tend()
        return False

    wait_until(is_true, lambda _: f"{otherwise}\n{site.airflow.last_words()}", within=BELATED, every=2)


def _publish(site: Site, ids: list[str]) -> None:
    with open_broker(site.broker) as broker:
        for queue in ("restart-answers", "restart-events"):
            broker.publish(queue, [Message.of({"id": one}, id=one) for one in ids])


def _given(site: Site) -> list[str]:
    path = "dags/restart_waiting/dagRuns/one/taskInstances/wait/xcomEntries/return_value?deserialize=true&map_index="
    site.airflow.wait(site.airflow.is_answering, "the API server doesn't answer")
    return [site.airflow.api(f"{path}{index}")["value"]["id"] for index in range(SENSORS)]


def _in_runs(file: Path) -> list[str]:
    return [one for line in file.read_text().splitlines() for one in json.loads(line)[1]]
