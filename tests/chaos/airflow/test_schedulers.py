# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Both schedulers are killed in turn, each in the middle of a run."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.airflow.conftest import Site
from tests.services.airflow_ha.effects import Tally, tally
from tests.services.airflow_ha.system import SCHEDULERS
from tickrelay_airflow.cron import Cron

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

EXPRESSION = "*/5 * * * * ?"
BELATED = 60.0
"""Seconds that a tick may be late by: an orphan is found after about 20, and its task runs again then."""

_DAG = """
    import time
    from datetime import datetime
    from airflow.sdk import DAG
    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    start = datetime.fromisoformat("@@")
    with DAG("ticks", schedule=CronSchedule("*/5 * * * * ?"), start_date=start, catchup=True):
        PublishToQueueOperator(
            task_id="publish",
            queue="ticks",
            data={"tick": "{{ logical_date.timestamp() }}"},
            pre_execute=lambda context: time.sleep(1),  # time to be killed before it publishes, and after it
            post_execute=lambda context, result: time.sleep(1),
        )
"""
_RUNNING = """
    SELECT t.run_id, r.logical_date
    FROM task_instance t JOIN dag_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id
    WHERE t.dag_id = 'ticks' AND t.state = 'running' AND t.queued_by_job_id = %s
"""
_TRIES = (
    "SELECT max(try_number) FROM task_instance WHERE dag_id = 'ticks' AND run_id = %s AND state = 'success'"
)


def test_each_tick_has_its_effect_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A run a tick. One scheduler is killed while a task of its own is about to publish; later, with the first one back,
    the other, when a task of its own has published and still runs. Airflow carries both out again, and every tick of
    the cron evaluator has its effect exactly once.
    """
    since = datetime.now(UTC).replace(microsecond=0)
    (site.airflow.dags / "ticks.py").write_text(textwrap.dedent(_DAG).replace("@@", since.isoformat()))
    _await_effect_of(site, since + timedelta(seconds=10))
    for scheduler, published in zip(SCHEDULERS, (False, True), strict=True):
        run = _kill_amid_a_run(site, scheduler, published=published)
        _await_end_of(site, run)
        site.airflow.start_component(scheduler)
    until = datetime.now(UTC)
    _await_effect_of(site, _last_tick(until))
    site.airflow.pause("ticks")
    found = tally(site.consumer.effects("ticks"), Cron(EXPRESSION), since, until)
    with capsys.disabled():
        print(f"\n{_words(found)}")  # noqa: T201 - the figure is what the test is run for
    assert found.is_exact, found


def _words(found: Tally) -> str:
    return (
        f"{found.expected} ticks, both schedulers killed in turn: longest gap {found.longest_gap:.1f} s, "
        f"latest effect {max(found.late):.1f} s after its tick"
    )


def _kill_amid_a_run(site: Site, scheduler: str, *, published: bool) -> str:
    """SIGKILL while one of its tasks runs, before or after its message was carried out; returns that run's id."""
    job = site.airflow.jobs[scheduler]
    found: list[str] = []

    def runs_a_task() -> bool:
        done = {effect.tick for effect in site.consumer.effects("ticks")}
        running = site.airflow.rows(_RUNNING, job)
        found[:] = [run for run, tick in running if (tick.timestamp() in done) == published]
        return bool(found)

    site.airflow.wait(runs_a_task, f"{scheduler} runs no task")
    site.airflow.kill(scheduler)
    return found[0]


def _await_end_of(site: Site, run: str) -> None:
    """Until its task has succeeded, as its second try."""

    def has_ended() -> bool:
        return bool(site.airflow.value(_TRIES, run))

    site.airflow.wait(has_ended, f"{run} isn't carried out again", within=BELATED)
    assert site.airflow.value(_TRIES, run) == 2


def _await_effect_of(site: Site, tick: datetime) -> None:
    """Until this tick and all before it have theirs, late as they may be."""
    wanted = _last_tick(tick).timestamp()

    def has_effect() -> bool:
        return any(effect.tick == wanted for effect in site.consumer.effects("ticks"))

    site.airflow.wait(has_effect, f"no effect of the tick {tick}", within=BELATED)


def _last_tick(instant: datetime) -> datetime:
    found = Cron(EXPRESSION).previous(instant + timedelta(microseconds=1))
    assert found is not None
    return found
