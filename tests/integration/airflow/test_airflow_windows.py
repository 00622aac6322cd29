# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ticks ahead in Airflow's own machinery: what backfills and the scheduler make of windows, and mapped tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tickrelay_messaging.ledger.schedules import TickFilter, TickOutcome

pytestmark = pytest.mark.usefixtures("airflow_db")

START = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def windowed(bundle):
    """A DAG of windows known to Airflow, as Airflow stores it: `windowed("id", tasks=...)`."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk import DAG

    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    def make(dag_id, *, catchup=False, expression="0 */20 * * * ?"):
        schedule = CronSchedule(expression, window="1m", lead="30s")
        with DAG(dag_id, schedule=schedule, start_date=START, catchup=catchup) as dag:
            PublishToQueueOperator(task_id="publish", queue="ticks", ticks=True, data={"at": "{{ tick }}"})
        bundle(dag)
        return SerializedDagModel.get(dag_id).dag

    return make


def test_a_backfill_covers_the_windows_in_its_range(windowed):
    """One run a window with ticks, by the interval that lies the lead before; none for windows without."""
    from airflow.models.backfill import _get_info_list

    dag = windowed("backfilled")
    infos = _get_info_list(
        from_date=START + timedelta(minutes=19), to_date=START + timedelta(hours=1), reverse=False, dag=dag
    )

    assert [f"00:{minute}:30" for minute in (19, 39, 59)] == [
        f"{info.logical_date:%H:%M:%S}" for info in infos
    ]
    assert {60} == {(info.data_interval.end - info.data_interval.start).total_seconds() for info in infos}


@pytest.mark.parametrize("catchup", [False, True])
def test_the_scheduler_s_next_run(windowed, catchup):
    """As Airflow writes it into its database: created at its logical date, which is never ahead of that."""
    from airflow.models.dag import DagModel

    dag = windowed(f"next_{catchup}", catchup=catchup)
    model = DagModel(dag_id=dag.dag_id)
    model.calculate_dagrun_date_fields(dag, reference_run=None)

    expected = START + timedelta(minutes=19, seconds=30)
    assert model.next_dagrun == model.next_dagrun_create_after
    assert (model.next_dagrun == expected) is catchup
    assert model.next_dagrun <= datetime.now(UTC)


def test_mapped_tasks_by_hand(hook, bundle, received):
    """Each map index renders its data itself; a run by hand is one tick, which the ledger tells of."""
    from airflow.sdk import DAG, task

    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    schedule = CronSchedule("*/5 * * * * ?", window="1m", lead="30s")
    with DAG("mapped_ticks", schedule=schedule, start_date=START, catchup=False) as dag:

        @task
        def regions():
            return ["eu", "us"]

        @task.publish(queue="ticks", ticks=True)
        def decorated(region, tick=None):
            return {"decorated": region, "at": tick.isoformat()}

        given = regions()
        decorated.expand(region=given)
        PublishToQueueOperator.partial(task_id="mapped", queue="ticks", ticks=True).expand(
            data=[{"n": 1, "at": "{{ tick.isoformat() }}"}, {"n": 2, "at": "{{ tick.isoformat() }}"}]
        )
        PublishToQueueOperator(task_id="piped", queue="ticks", ticks=True, data={"regions": given})
    bundle(dag)

    assert {"regions"} == dag.get_task("piped").upstream_task_ids
    run = dag.test()

    assert "success" == run.state
    found = received("ticks")
    at = {message.data["at"] for message in found if "at" in message.data}
    assert 1 == len(at)
    assert ["eu", "us"] == sorted(m.data["decorated"] for m in found if "decorated" in m.data)
    assert [1, 2] == sorted(message.data["n"] for message in found if "n" in message.data)
    assert [["eu", "us"]] == [message.data["regions"] for message in found if "regions" in message.data]
    decisions = hook.ledger.schedules.list(TickFilter(schedule="airflow/mapped_ticks"))
    assert {(TickOutcome.FIRED, "by hand")} == {(one.outcome, one.reason) for one in decisions}
    assert {"decorated", "mapped", "piped"} == {one.task_id for one in decisions}


@pytest.fixture
def received(hook):
    """Everything on a queue, as messages."""
    from tickrelay_messaging.envelope import decode

    return lambda queue: [decode(one.headers, one.body) for one in hook.broker.peek(queue, limit=1_000)]
