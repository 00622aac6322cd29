# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One highly available Airflow for all tests in here, since a start takes some twenty seconds. Tests may kill it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.airflow.ahead import Ahead
from tests.services.airflow_ha import AirflowHA, running_airflow_ha
from tests.services.airflow_ha.effects import TickConsumer
from tests.services.postgres import Postgres, running_postgres
from tests.services.redis import RedisServer, running_server

WITNESS = Ahead("witness", "*/5 * * * * ?", window=30, lead=60)
"""A schedule that is there through all tests, whatever they kill."""
QUEUES = ("ticks", "ahead", WITNESS.name)


@dataclass(frozen=True, slots=True)
class Site:
    """
    Airflow, a consumer, and what both need.

    Attributes:
        witnessed_since: the first tick of the witness.
    """

    airflow: AirflowHA
    consumer: TickConsumer
    postgres: Postgres
    broker: str
    ledger: str
    witnessed_since: datetime


@pytest.fixture(scope="package")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="package")
def site(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, artifacts: Path
) -> Iterator[Site]:
    """Everything at work; what the components said is kept among the artifacts."""
    folder = tmp_path_factory.mktemp("ha")
    with running_postgres(tmp_path_factory.mktemp("postgres"), max_connections="100") as postgres:
        yield from _on(folder, postgres, redis_server.url(lease=10), artifacts)


def _on(folder: Path, postgres: Postgres, broker: str, artifacts: Path) -> Iterator[Site]:
    ledger = postgres.new_database()
    connection = {"conn_type": "tickrelay", "extra": {"broker": broker, "ledger": ledger, "deployment": "ha"}}
    consumer = TickConsumer(folder / "consumer", broker, ledger, QUEUES)
    with running_airflow_ha(
        folder, postgres, {"AIRFLOW_CONN_TICKRELAY_DEFAULT": json.dumps(connection)}
    ) as airflow:
        try:
            consumer.start()
            since = WITNESS.write(airflow.dags, datetime.now(UTC) + timedelta(seconds=20))
            yield Site(airflow, consumer, postgres, broker, ledger, since)
        finally:
            consumer.server.kill()
            kept = artifacts / "airflow-ha-logs"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(airflow.logs, kept)
            shutil.copytree(airflow.home / "logs", kept / "tasks", dirs_exist_ok=True)
            shutil.copy(folder / "consumer/consumer.log", kept)
