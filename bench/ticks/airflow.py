# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A highly available Airflow with three schedules: ours with ticks ahead, ours a run a tick, and a stock DAG."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.services.airflow_ha import AirflowHA, running_airflow_ha
from tests.services.airflow_ha.system import SCHEDULERS
from tests.services.postgres import Postgres
from tests.services.process import Server

LEAD = 40
"""Seconds that ticks are published ahead; more than a killed task takes to be run again."""
WINDOW = 20
START = 30
"""Seconds that Airflow is given to start, before its first tick."""

_AHEAD = f"""
    from datetime import datetime
    from airflow.sdk import DAG
    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    schedule = CronSchedule("* * * * * ?", window="{WINDOW}s", lead="{LEAD}s")
    with DAG("ahead", schedule=schedule, start_date=datetime.fromisoformat("@START@"), catchup=True):
        data = {{"tick": "{{{{ tick.timestamp() }}}}"}}
        PublishToQueueOperator(task_id="publish", queue="ahead", ticks=True, data=data)
"""
_PLAIN = """
    from datetime import datetime
    from airflow.sdk import DAG
    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    with DAG(
        "plain", schedule=CronSchedule("*/5 * * * * ?"), start_date=datetime.fromisoformat("@NOW@"), catchup=True
    ):
        PublishToQueueOperator(task_id="publish", queue="plain", data={"tick": "{{ logical_date.timestamp() }}"})
"""
_STOCK = """
    import time
    from datetime import datetime
    from airflow.sdk import DAG, task
    from airflow.timetables.trigger import CronTriggerTimetable

    every_five_seconds = CronTriggerTimetable("* * * * * */5", timezone="UTC")
    with DAG("stock", schedule=every_five_seconds, start_date=datetime.fromisoformat("@NOW@"), catchup=True):
        @task
        def note(logical_date=None):
            began = time.time()
            with open("@FOLDER@/stock", "a") as file:
                file.write(f"{logical_date.timestamp()} {began}\\n")
        note()
"""
_CONSUMER = """
    import os
    import time
    from tickrelay_consumer import Consumer

    consumer = Consumer()
    flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY

    def noting(queue):
        file = os.open(f"@FOLDER@/{queue}", flags, 0o600)

        def note(message, ctx):
            began = time.time()
            os.write(file, f"{float(message.data['tick'])} {began}\\n".encode())

        return note

    for queue in ("ahead", "plain"):
        consumer.handler(queue)(noting(queue))
"""
_MAIN = "from tickrelay_consumer.commands import main; main()"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One DAG of it."""

    name: str
    setting: str
    notes: Path
    every: int


@dataclass(frozen=True, slots=True)
class Schedulers:
    """Its two schedulers, to be killed."""

    airflow: AirflowHA

    def kill(self, *numbers: int) -> None:
        self.airflow.kill(*(SCHEDULERS[number] for number in numbers))

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self.airflow.start_component(SCHEDULERS[number])


def schedules(folder: Path) -> list[Schedule]:
    """What is looked at."""
    return [
        Schedule("tickrelay", f"ticks ahead (window {WINDOW} s, lead {LEAD} s)", folder / "ahead", 1),
        Schedule("tickrelay", "a run a tick", folder / "plain", 5),
        Schedule("stock Airflow", "CronTriggerTimetable, catchup", folder / "stock", 5),
    ]


@contextmanager
def running(folder: Path, redis: str, postgres: Postgres) -> Iterator[Schedulers]:
    """Airflow and a consumer, for as long as the block lasts; returns in time for the first tick."""
    ledger = postgres.new_database()
    now = datetime.now(UTC).replace(microsecond=0)
    first = now + timedelta(seconds=START)
    consumer = _consumer(folder, redis, ledger)
    connection = {
        "conn_type": "tickrelay",
        "extra": {"broker": redis, "ledger": ledger, "deployment": "bench"},
    }
    environment = {"AIRFLOW_CONN_TICKRELAY_DEFAULT": json.dumps(connection)}
    marks = {"@NOW@": first.isoformat(), "@FOLDER@": str(folder)}
    marks["@START@"] = (first - timedelta(seconds=LEAD + WINDOW)).isoformat()
    dags = {"ahead.py": _AHEAD, "plain.py": _PLAIN, "stock.py": _STOCK}
    written = {name: _filled(text, marks) for name, text in dags.items()}
    with running_airflow_ha(folder, postgres, environment, dags=written) as airflow:
        try:
            consumer.start()
            time.sleep(max(0.0, first.timestamp() - time.time()))
            yield Schedulers(airflow)
        finally:
            consumer.kill()


def _consumer(folder: Path, redis: str, ledger: str) -> Server:
    file, log = folder / "consumer.py", folder / "consumer.log"
    file.write_text(_filled(_CONSUMER, {"@FOLDER@": str(folder)}))
    command = [sys.executable, "-c", _MAIN, "consume", f"{file}:consumer", "--json"]
    environment = {**os.environ, "TICKRELAY_BROKER": redis, "TICKRELAY_LEDGER": ledger}
    return Server(command, lambda: log.exists() and "consuming" in log.read_text(), log, env=environment)


def _filled(text: str, marks: dict[str, str]) -> str:
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return textwrap.dedent(text)
