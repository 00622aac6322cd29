# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
From a tick's instant to the work, on a real local Airflow: a message to a consumer beside a task of stock Airflow.

Both DAGs tick every five seconds in the same minute on the same scheduler. Ours does more (a task publishes, a consumer
starts); what both wait for is Airflow's scheduler, which on SQLite looks at whole seconds only.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import textwrap
from pathlib import Path

from bench.report import Row, console, scratch, show

SETTLE_IN = 3
"""Ticks left out at the start, while Airflow is still busy with starting."""

_OURS = """
    from datetime import datetime
    from airflow.sdk import DAG
    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    with DAG("ours", schedule=CronSchedule("*/5 * * * * ?"), start_date=datetime(2026, 1, 1), catchup=False):
        PublishToQueueOperator(task_id="publish", queue="ticks", data={"tick": "{{ logical_date.timestamp() }}"})
"""
_STOCK = """
    import time
    from datetime import datetime
    from airflow.sdk import DAG, task
    from airflow.timetables.trigger import CronTriggerTimetable

    every_five_seconds = CronTriggerTimetable("* * * * * */5", timezone="UTC")

    with DAG("stock", schedule=every_five_seconds, start_date=datetime(2026, 1, 1), catchup=False):
        @task
        def note(logical_date=None):
            with open("@@/stock", "a") as file:
                file.write(f"{time.time() - logical_date.timestamp()}\\n")
        note()
"""
_CONSUMER = """
    import time
    from tickrelay_consumer import Consumer

    consumer = Consumer()

    @consumer.handler("ticks")
    def note(message, ctx):
        with open("@@/ours", "a") as file:
            file.write(f"{time.time() - float(message.data['tick'])}\\n")
"""


def main(*, short: bool) -> None:
    """Run a local Airflow for a while and print what the two DAGs noted."""
    with scratch() as folder:
        _write(folder)
        _run(folder, 60 if short else 180)
        ours, stock = (_noted(folder / name) for name in ("ours", "stock"))
    if not ours or not stock:
        console.print("[red]ticks: Airflow brought no tick in time; nothing measured[/]\n")
        return
    show(
        "Tick instant -> work, every five seconds, Airflow on SQLite",
        [*_rows("tickrelay", ours), *_rows("stock", stock)],
    )


def _write(folder: Path) -> None:
    (folder / "dags").mkdir()
    for name, text in (("dags/ours.py", _OURS), ("dags/stock.py", _STOCK), ("consumer.py", _CONSUMER)):
        (folder / name).write_text(textwrap.dedent(text).replace("@@", str(folder)))


def _run(folder: Path, seconds: int) -> None:
    command = [
        str(Path(sys.executable).with_name("tickrelay")),
        "up",
        "--no-demo",
        "--json",
        "--for",
        str(seconds),
    ]
    places = [
        "--home",
        f"{folder}/home",
        "--dags",
        f"{folder}/dags",
        "--consumer",
        f"{folder}/consumer.py:consumer",
    ]
    subprocess.run(
        [*command, *places], check=False, capture_output=True, timeout=seconds + 120, env=dict(os.environ)
    )


def _noted(path: Path) -> list[float]:
    return [float(line) for line in path.read_text().split()][SETTLE_IN:] if path.exists() else []


def _rows(what: str, late: list[float]) -> list[Row]:
    return [
        Row(what, f"median of {len(late)} ticks", statistics.median(late), "s"),
        Row(what, "maximum", max(late), "s"),
    ]
