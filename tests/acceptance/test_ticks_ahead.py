# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ticks ahead in a real Airflow with a real consumer: each tick once, on the dot, though Airflow takes a second."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import System
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.schedules import TickFilter, TickOutcome

pytestmark = pytest.mark.timeout(300)

TICKS = 40
STEP = 2.0
WINDOW = 5
"""Ticks in one."""
ON_THE_DOT = 0.05
"""Seconds within which a tick's work begins."""

DAG = """
    from datetime import UTC, datetime
    from airflow.sdk import DAG
    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    schedule = CronSchedule("*/2 * * * * ?", window="10s", lead="10s")
    with DAG("ahead", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):
        PublishToQueueOperator(task_id="publish", queue="ticks", ticks=True, data={"tick": "{{ tick.timestamp() }}"})
"""
CONSUMER = """
    import json, time
    from tickrelay_consumer import Consumer

    consumer = Consumer()

    @consumer.handler("ticks")
    def note(message, ctx):
        began = time.time()
        with open("@@/noted", "a") as file:
            file.write(json.dumps([float(message.data["tick"]), began]) + "\\n")
"""


@pytest.fixture
def alone(project: Path, tmp_path: Path, artifacts: Path) -> Iterator[System]:
    """A system of this test's own, running, with this DAG and this consumer only."""
    system = System(project, tmp_path / "alone")
    for dag in system.dags.iterdir():
        dag.unlink()
    for path, text in ((system.dags / "ahead.py", DAG), (tmp_path / "consumer.py", CONSUMER)):
        path.write_text(textwrap.dedent(text).replace("@@", str(tmp_path)))
    system.start("--no-demo", "--consumer", f"{tmp_path}/consumer.py:consumer")
    yield system
    (artifacts / "ticks-ahead.log").write_text(system.log.read_text())
    system.kill_everything()


def noted(folder: Path) -> list[tuple[float, float]]:
    """Each start of the handler: the tick, and when it began."""
    path = folder / "noted"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def settled(starts: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without the first windows, which are late as Airflow and the consumer are still starting."""
    on_the_dot = [began - tick <= ON_THE_DOT for tick, began in starts]
    windows = (
        at for at in range(len(starts)) if at + WINDOW <= len(starts) and all(on_the_dot[at : at + WINDOW])
    )
    return starts[next(windows, len(starts)) :]


def test_each_tick_begins_once_and_on_the_dot(
    alone: System, tmp_path: Path, eventually: Any, artifacts: Path
) -> None:
    """None missed, none doubled, one DAG run for five ticks; the ledger tells of each that it was fired."""

    def enough_ticks_have_begun() -> bool:
        assert alone.alive, alone.log.read_text()[-3000:]
        return len(settled(noted(tmp_path))) >= TICKS

    assert eventually(enough_ticks_have_begun, within=200, every=0.5)
    starts = noted(tmp_path)
    ticks = [tick for tick, _ in starts]
    late = sorted(began - tick for tick, began in settled(starts))
    told = (
        f"median {statistics.median(late) * 1e3:.1f} ms, maximum {late[-1] * 1e3:.1f} ms of {len(late)} ticks"
    )
    everything = [round(began - tick, 4) for tick, began in starts]
    (artifacts / "ticks-ahead.txt").write_text(f"{told}\n{everything}\n")

    assert [min(ticks) + STEP * n for n in range(len(ticks))] == sorted(ticks), "missed or doubled"
    assert late[0] >= 0, "none begins before its instant"
    assert late[int(len(late) * 0.9)] <= ON_THE_DOT, told
    with open_ledger(f"sqlite:///{alone.home / 'ledger.db'}") as ledger:
        found = ledger.schedules.list(TickFilter(outcome=TickOutcome.FIRED), limit=1_000)
    assert set(ticks) <= {one.tick for one in found}
    assert len(ticks) / len({one.run_id for one in found if one.tick in ticks}) > 3
