# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Sensors and an event-driven DAG while triggerers are killed at random moments: each message shall arrive once.

A real Airflow with two triggerers on PostgreSQL, messages on Redis Streams. Nothing is timed but how long it takes
until all is where it belongs.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.chaos.airflow.killing import Found, Killing
from tests.services.airflow_ha import running_airflow_ha
from tests.services.postgres import Postgres, running_postgres
from tests.services.redis import running_server

from bench.report import OURS, Row, console, scratch, show


def main(*, short: bool) -> None:
    """Start everything, kill in rounds, and print what became of the messages."""
    rounds, seed = (2 if short else 20), time.time_ns() % 10**6
    try:
        found = _measure(rounds, seed)
    except (TimeoutError, pytest.fail.Exception) as error:
        console.print(f"[bold red]triggerers: not measured[/]: {error}\n")
        return
    show(f"Triggerers killed while sensors and a watcher wait, seed {seed}", _rows(found, rounds))


def _measure(rounds: int, seed: int) -> Found:
    with (
        scratch() as folder,
        running_server(folder / "redis") as redis,
        running_postgres(folder / "postgres", max_connections="100") as postgres,
    ):
        return _on(folder, postgres, redis.url(lease=10), (rounds, seed))


def _on(folder: Path, postgres: Postgres, url: str, numbers: tuple[int, int]) -> Found:
    rounds, seed = numbers
    extra = {"broker": url, "ledger": postgres.new_database(), "deployment": "bench"}
    environment = {"AIRFLOW_CONN_TICKRELAY_DEFAULT": json.dumps({"conn_type": "tickrelay", "extra": extra})}
    with running_airflow_ha(folder / "ha", postgres, environment) as airflow:
        killing = Killing(airflow, url, folder / "noted", seed)
        killing.prepare()
        for _ in range(rounds):
            killing.play()
        return killing.found()


def _rows(found: Found, rounds: int) -> list[Row]:
    lost, doubled = len(found.lost), len(found.doubled)
    setting = f"{found.messages:,} messages, {rounds} rounds, {found.kills} SIGKILLs"
    return [
        Row(OURS, f"{setting}: lost", lost, "messages", "0", lost == 0),
        Row(OURS, f"{setting}: given twice", doubled, "messages", "0", doubled == 0),
        Row(OURS, "brought to Airflow again, and given to one run", found.brought_again, "messages"),
        Row(OURS, "kill -> all of its round's messages given, maximum", found.slowest, "s"),
    ]
