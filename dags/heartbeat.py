# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A message a minute, to see that schedules tick and messages flow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.timetable import CronSchedule

with DAG(
    dag_id="heartbeat",
    schedule=CronSchedule("0 * * * * ?"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags={"tickrelay"},
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
) as dag:
    # Nobody wants to hear an old heart beat.
    PublishToQueueOperator(
        task_id="beat", queue="heartbeat", data={"run": "{{ run_id }}"}, expires=timedelta(minutes=10)
    )
