# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Every five seconds: a message for each new order of the shop, then wait until all of them have been dealt
with.

Orders are assigned to the run first and read back afterwards, so a retry reads the same ones, and perhaps
newer ones too; each message is named by its order, so that it keeps its id. An order is never in two runs. A
run that has failed for good keeps its orders: clear it, and they are published.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.sensor import QueueSensor
from tickrelay_airflow.timetable import CronSchedule

MOST = 1_000
"""Most orders that one try of a run takes; what is left is the next run's."""

ASSIGN = """
UPDATE orders SET run_id = :run
WHERE order_id IN (SELECT order_id FROM orders WHERE run_id IS NULL ORDER BY order_id LIMIT :most)
"""
READ = "SELECT order_id, customer, amount_cents, created_at FROM orders WHERE run_id = :run ORDER BY order_id"


def shop() -> Path:
    """The shop's database: `TICKRELAY_SHOP`, by default `.tickrelay/shop.db` in the working directory."""
    return Path(os.environ.get("TICKRELAY_SHOP") or ".tickrelay/shop.db").absolute()


def orders_of(run_id: str) -> Iterator[dict[str, Any]]:
    """The orders of this run, new ones among them; none if there is no shop yet."""
    if not shop().exists():
        return
    with closing(sqlite3.connect(f"{shop().as_uri()}?mode=rw", uri=True, timeout=10)) as database:
        database.row_factory = sqlite3.Row
        if not database.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'orders'"
        ).fetchone():
            return
        with database:  # commits before anything is published
            database.execute(ASSIGN, {"run": run_id, "most": MOST})
        yield from map(dict, database.execute(READ, {"run": run_id}))


with DAG(
    dag_id="order_sync",
    schedule=CronSchedule("*/5 * * * * ?"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags={"tickrelay"},
    doc_md=__doc__,
    default_args={"retries": 5, "retry_delay": timedelta(seconds=2)},
) as dag:
    publish = PublishToQueueOperator(
        task_id="publish", queue="orders", type="order.created", data=orders_of, id="order_id", key="customer"
    )
    settled = QueueSensor(task_id="settled", queue="orders", until="settled", timeout=timedelta(hours=1))
    publish >> settled
