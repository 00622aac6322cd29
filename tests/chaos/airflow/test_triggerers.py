# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Both triggerers are killed in turn while sensors are deferred in them and messages come."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import pytest

from tests.chaos.airflow.conftest import Site
from tests.services.airflow_ha.system import TRIGGERERS
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.message import Message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

SENSORS = 8
BELATED = 90.0
"""Seconds: a triggerer counts as dead after 12, then the other starts its triggers from the beginning."""

_DAG = f"""
    from datetime import datetime
    from airflow.sdk import DAG
    from tickrelay_airflow.sensor import QueueSensor

    with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1)):
        QueueSensor.partial(task_id="wait", queue="answers", retries=0).expand(poke_interval=[60] * {SENSORS})
"""
_COUNT = "SELECT count(*) FROM task_instance WHERE dag_id = 'waiting' AND state = %s"
_WAITING = "SELECT count(*) FROM trigger WHERE triggerer_id = %s AND classpath LIKE '%%.QueueTrigger'"
_UNASSIGNED = "SELECT count(*) FROM trigger WHERE triggerer_id IS NULL"


def test_each_message_reaches_one_sensor(site: Site) -> None:
    """
    SIGKILL to a triggerer in which sensors wait, right after half of the messages were published, and again after the
    other half: each sensor ends with a message, and each message is given to one sensor only.
    """
    ids = [f"answer-{number}" for number in range(SENSORS)]
    _start_triggerers(site)
    _start_sensors(site)
    for number, half in enumerate((ids[:4], ids[4:]), 1):
        site.airflow.wait(lambda: _holders(site), "sensors wait in no triggerer")
        victim = _holders(site)[0]
        _publish(site, half)
        site.airflow.kill(victim)
        _await_count(site, "success", len(half) * number)
        site.airflow.start_component(victim)
    assert sorted(ids) == sorted(_given(site))


def _start_triggerers(site: Site) -> None:
    """Anew, as one may have ended by itself with the database before, and its successor's job isn't known."""
    site.airflow.tend()
    site.airflow.kill(*TRIGGERERS)
    for triggerer in TRIGGERERS:
        site.airflow.start_component(triggerer)


def _holders(site: Site) -> list[str]:
    return [name for name in TRIGGERERS if site.airflow.value(_WAITING, site.airflow.jobs[name])]


def _start_sensors(site: Site) -> None:
    """Until all of them are deferred, and every trigger is some triggerer's."""
    (site.airflow.dags / "waiting.py").write_text(textwrap.dedent(_DAG))
    with open_broker(site.broker) as broker:
        broker.declare(QueueSpec("answers"))
    site.airflow.wait(
        lambda: site.airflow.rows("SELECT 1 FROM dag WHERE dag_id = 'waiting'"), "the DAG isn't found"
    )
    site.airflow.api("dags/waiting/dagRuns", {"logical_date": None, "dag_run_id": "one"})
    _await_count(site, "deferred", SENSORS)
    site.airflow.wait(lambda: not site.airflow.value(_UNASSIGNED), "nobody takes the triggers")


def _publish(site: Site, ids: Sequence[str]) -> None:
    with open_broker(site.broker) as broker:
        broker.publish("answers", [Message.of({"number": one}, id=one) for one in ids])


def _await_count(site: Site, state: str, count: int) -> None:
    """Until so many sensors are in a state."""
    site.airflow.wait(
        lambda: site.airflow.value(_COUNT, state) == count, f"not {count} sensors are {state}", BELATED
    )


def _given(site: Site) -> list[str]:
    """The ids of the messages that the sensors have left in XCom."""
    path = "dags/waiting/dagRuns/one/taskInstances/wait/xcomEntries/return_value?deserialize=true&map_index="
    return [site.airflow.api(f"{path}{index}")["value"]["id"] for index in range(SENSORS)]
