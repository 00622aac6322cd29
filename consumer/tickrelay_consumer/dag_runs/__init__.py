# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Messages that start DAG runs: one run a message, or one a key.

Without code, from the environment (`TICKRELAY_DAG_RUN_*`, see `DagRunSettings`):

    tickrelay consume tickrelay_consumer.dag_runs

or on a consumer of one's own, for as many queues as one likes:

    start_runs(consumer, DagRunSettings.load(url="http://airflow:8080", dag="order", queue="orders", token="..."))

Airflow is spoken to by its REST API only (httpx, the extra `airflow`).
"""

from __future__ import annotations

from typing import Any

from tickrelay_consumer.dag_runs.handler import start_runs
from tickrelay_consumer.dag_runs.settings import DagRunSettings

__all__ = ["DagRunSettings", "consumer", "start_runs"]


def __getattr__(name: str) -> Any:
    """`consumer` is made of the environment when it is asked for: nothing else here needs one."""
    if name != "consumer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tickrelay_consumer.consumer import Consumer

    made = Consumer()
    start_runs(made, DagRunSettings.load())
    globals()["consumer"] = made
    return made
