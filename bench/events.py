# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Messages a second into batched runs of an event-driven DAG: a real Airflow and the ledger on PostgreSQL, Redis Streams.

The clock runs from the first message's publishing to the last message's being noted by a task, which has asked the
ledger for each whether it's this run's. There is no peer in it: the other providers make an event of each message.
"""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.services.airflow_ha import AirflowHA, running_airflow_ha
from tests.services.postgres import Postgres, running_postgres
from tests.services.redis import running_server
from tests.services.waiting import wait_until
from tests.services.watched import watched

from bench.report import OURS, Row, console, scratch, show
from tickrelay_airflow.triggers.events import WATCHERS_GROUP
from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.message import Message

GOAL = 1_000
QUEUE = "bench-events"
WITHIN = 120.0

_DAG = """
    from datetime import datetime
    from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
    from airflow.sdk import DAG, Asset, AssetWatcher, task
    from tickrelay_airflow.hook import QueueHook

    watched = MessageQueueTrigger(scheme="tickrelay", queue_name="bench-events")
    incoming = Asset("incoming", watchers=[AssetWatcher(name="events", trigger=watched)])

    with DAG("event_driven", schedule=[incoming], start_date=datetime(2026, 1, 1)):

        @task
        def note():
            count = len({message["id"] for message in QueueHook().triggering_messages()})
            with open("@@", "a") as file:
                file.write(f"{count}\\n")

        note()
"""


def main(*, short: bool) -> None:
    """Start everything, publish, and wait for the last message."""
    count = 20_000 if short else 100_000
    try:
        with (
            scratch() as folder,
            running_server(folder / "redis") as redis,
            running_postgres(folder / "postgres", max_connections="100") as postgres,
        ):
            rows = _measure(folder, postgres, redis.url(lease=10), count)
    except (TimeoutError, pytest.fail.Exception) as error:
        console.print(f"[bold red]events: not measured[/]: {error}\n")
        return
    show("Messages into batched runs of an event-driven DAG", rows)


def _measure(folder: Path, postgres: Postgres, url: str, count: int) -> list[Row]:
    noted = folder / "noted"
    noted.touch()
    extra = {"broker": url, "ledger": postgres.new_database(), "deployment": "bench"}
    connection = json.dumps({"conn_type": "tickrelay", "extra": extra})
    environment = {"AIRFLOW_CONN_TICKRELAY_DEFAULT": connection}
    dags = {"event_driven.py": textwrap.dedent(_DAG).replace("@@", str(noted))}
    with (
        open_broker(url) as broker,
        running_airflow_ha(folder / "ha", postgres, environment, dags=dags) as airflow,
    ):
        broker.declare(QueueSpec(QUEUE, (WATCHERS_GROUP,)))
        _await(airflow, lambda: watched(broker, QUEUE).consumers == 1, "nobody watches")
        time.sleep(5)  # the run of a start
        began = time.monotonic()
        messages = [Message.of({"n": number}, id=f"m{number}") for number in range(count)]
        broker.publish(QUEUE, messages, timeout=60)
        _await(airflow, lambda: watched(broker, QUEUE).left == 0, "not all is acknowledged")
        stored = time.monotonic() - began
        _await(airflow, lambda: _total(noted) >= count, "not all is in runs")
        in_runs = time.monotonic() - began
        return _rows(airflow, noted, count, (stored, in_runs))


def _rows(airflow: AirflowHA, noted: Path, count: int, seconds: tuple[float, float]) -> list[Row]:
    stored, in_runs = (count / one for one in seconds)
    runs = sum(1 for line in noted.read_text().split() if int(line))
    goal = (f">= {GOAL:,}/s", in_runs >= GOAL)
    events = airflow.value("SELECT count(*) FROM asset_event")
    return [
        Row(OURS, f"{count:,} messages, stored as events and acknowledged", stored, "/s"),
        Row(OURS, f"{count:,} messages, in runs", in_runs, "/s", *goal),
        Row(OURS, "events", float(events), "events"),
        Row(OURS, "runs with messages", float(runs), "runs"),
    ]


def _total(noted: Path) -> int:
    return sum(map(int, noted.read_text().split()))


def _await(airflow: AirflowHA, condition: Callable[[], bool], otherwise: str) -> None:
    """Looks no more often than the figures need: a look costs the broker something, too."""
    wait_until(condition, lambda _: f"{otherwise}\n{airflow.last_words()}", within=WITHIN, every=0.1)
