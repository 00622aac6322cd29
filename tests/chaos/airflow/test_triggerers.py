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
_WAITING = "SELECT count(*) FROM trigger WHERE triggerer_id = %s"
_UNASSIGNED = "SELECT count(*) FROM trigger WHERE triggerer_id IS NULL"


def test_each_message_reaches_one_sensor(site: Site) -> None:
    """
    SIGKILL right after half of the messages were published, and again, of the other triggerer, after the other half:
    each sensor ends with a message, and each message is given to one sensor only.
    """
    ids = [f"answer-{number}" for number in range(SENSORS)]
    _start_sensors(site)
    for triggerer, half in zip(TRIGGERERS, (ids[:4], ids[4:]), strict=True):
        job = site.airflow.jobs[triggerer]
        site.airflow.wait(lambda job=job: site.airflow.value(_WAITING, job), f"nothing waits in {triggerer}")
        _publish(site, half)
        site.airflow.kill(triggerer)
        _await_count(site, "success", len(half) * (1 + TRIGGERERS.index(triggerer)))
        site.airflow.start_component(triggerer)
    assert sorted(ids) == sorted(_given(site))


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
