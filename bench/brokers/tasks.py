# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One Airflow task that publishes a million messages: its speed against the same loop outside, and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.brokers.airflow_task import QUEUE
from bench.brokers.worker import Worker
from bench.report import OURS, Row
from tickrelay_messaging.brokers import QueueSpec, open_broker

LEAST = 0.7
THEIR_MOST = 50_000
"""Asynchronous, the provider's operator fails (`BufferError: Local: Queue full`) when it is 100,000 ahead of Kafka."""
JUDGED = 100_000
MEMORY = 300
"""Most megabytes that the process may grow by."""


def rows(url: str, folder: Path, number: int) -> list[Row]:
    """Half of the loop outside comes before the task and half behind it: a machine isn't the same all the time."""
    with open_broker(url) as broker:
        broker.declare(QueueSpec(QUEUE))
    kinds = {"ours": number, **(_theirs(number) if url.startswith("kafka") else {})}
    loop = Worker("ours:publish_streamed", url)
    loop.call(500)
    try:
        before = loop.call(number // 2)
        task, *others = _run(kinds, url, folder)
        outside = before + loop.call(number // 2)
    finally:
        loop.close()
    # What a task pays once - imports, connections, a batch in the ledger - is about a second.
    ratio, grown = outside / task["seconds"], task["growth"] / 1e6
    goal, met = (
        (f">= {LEAST} x", ratio >= LEAST)
        if number >= JUDGED
        else (f">= {LEAST} x of {JUDGED:,} or more", None)
    )
    what = f"{number:,} messages"
    return [
        Row(OURS, f"PublishToQueueOperator, {what}", number / task["seconds"], "/s"),
        Row("the same loop", "outside Airflow", number / outside, "/s", goal, met, ratio),
        Row(OURS, "growth of the task's memory", grown, "MB", f"< {MEMORY} MB", grown < MEMORY),
        *(_row(one, number / task["seconds"]) for one in others),
    ]


def _theirs(number: int) -> dict[str, int]:
    """The Kafka provider's operator: as fast as it can, where what fails is only logged; and as it is by default."""
    return {"theirs": min(THEIR_MOST, number // 5), "each": max(1000, number // 100)}


def _row(one: dict[str, Any], ours: float) -> Row:
    setting = {"theirs": "synchronous=False", "each": "synchronous=True (default)"}[one["kind"]]
    rate = one["number"] / one["seconds"]
    return Row("ProduceToTopicOperator", f"{setting}, {one['number']:,}", rate, "/s", ratio=ours / rate)


def _run(kinds: dict[str, int], url: str, folder: Path) -> list[dict[str, Any]]:
    """One task after the other in one process; ours comes first, with nobody's memory before it."""
    answer = folder / "tasks.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.brokers.airflow_task", json.dumps(kinds), str(answer)],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(url, folder),
    )
    if done.returncode:
        raise RuntimeError(f"a task of {kinds} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    found: list[dict[str, Any]] = json.loads(answer.read_text())
    return found


def _environment(url: str, folder: Path) -> dict[str, str]:
    """Nobody's own Airflow is touched; its database is made once for all tasks."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))
    }
    home = folder.parent / "airflow"
    home.mkdir(exist_ok=True)
    extra = {"broker": url, "ledger": f"sqlite:///{folder}/ledger.db"}
    servers = {
        "bootstrap.servers": url.partition("//")[2].partition("?")[0],
        "enable.idempotence": True,
        "acks": "all",
    }
    return kept | {
        "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")]),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-the-benchmarks-of-this-repository-" + "0" * 32,
        "AIRFLOW_CONN_TICKRELAY_DEFAULT": json.dumps({"conn_type": "tickrelay", "extra": extra}),
        "AIRFLOW_CONN_KAFKA_DEFAULT": json.dumps({"conn_type": "kafka", "extra": servers}),
    }
