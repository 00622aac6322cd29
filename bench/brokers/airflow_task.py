# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One run of a DAG with one publishing task, in an Airflow of its own, as `dag.test()` runs it: the task's own code,
templates, XCom and API calls in this process, without scheduler and executor.

Started by `tasks`, with Airflow's settings in the environment; prints what the task took, without Airflow's start.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.brokers.material import payload

QUEUE = "task"


class Watch:
    """Time and memory from before `execute` to behind it."""

    def __init__(self) -> None:
        self.seconds = self.growth = self._began = 0.0
        self._before = 0

    def begin(self, _: Any) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._before = _memory("VmRSS")
        self._began = time.perf_counter()

    def end(self, _: Any, __: Any = None) -> None:
        self.seconds = time.perf_counter() - self._began
        self.growth = float(_memory("VmHWM") - self._before)


def _memory(name: str) -> int:
    """Bytes, of a line in this process's status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10


def payloads(number: int) -> Iterator[dict[str, object]]:
    """The generator, the same for all operators."""
    for n in range(number):
        yield payload(n)


def records(number: int) -> Iterator[tuple[None, bytes]]:
    """As `ProduceToTopicOperator` wants it: key and value."""
    for one in payloads(number):
        yield None, json.dumps(one).encode()


def _ours(number: int, hooks: dict[str, Any]) -> None:
    from tickrelay_airflow.publish import PublishToQueueOperator

    PublishToQueueOperator(task_id="publish", queue=QUEUE, data=lambda: payloads(number), **hooks)


def _theirs(number: int, hooks: dict[str, Any], *, synchronous: bool = False) -> None:
    from airflow.providers.apache.kafka.operators.produce import ProduceToTopicOperator

    ProduceToTopicOperator(
        task_id="produce",
        topic=QUEUE,
        producer_function=records,
        producer_function_args=[number],
        synchronous=synchronous,
        **hooks,
    )


def _each(number: int, hooks: dict[str, Any]) -> None:
    _theirs(number, hooks, synchronous=True)


TASKS = {"ours": _ours, "theirs": _theirs, "each": _each}


def main(kinds: dict[str, int]) -> list[dict[str, Any]]:
    """Run a DAG for each kind of task, with so many messages."""
    from airflow.utils.db import initdb

    if not (Path(os.environ["AIRFLOW_HOME"]) / "airflow.db").exists():
        initdb()
    return [{"kind": kind, "number": number, **_run(kind, number)} for kind, number in kinds.items()]


def _run(kind: str, number: int) -> dict[str, float]:
    from airflow.sdk import DAG

    watch = Watch()
    with DAG(f"bench_{kind}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        TASKS[kind](number, {"pre_execute": watch.begin, "post_execute": watch.end})
    _make_known(dag)
    state = dag.test().state
    if state != "success":
        raise RuntimeError(f"the DAG run of {kind} ended as {state}")
    return {"seconds": watch.seconds, "growth": watch.growth}


def _make_known(dag: Any) -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(os.devnull, bundle_name="dags-folder")
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(sys.argv[1]))))
