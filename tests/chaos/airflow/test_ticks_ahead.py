# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ticks ahead, a tick a second, while nothing schedules and while the database is away."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.airflow.ahead import Ahead, words
from tests.chaos.airflow.conftest import Site
from tests.services.airflow_ha.effects import tally
from tests.services.airflow_ha.system import SCHEDULERS
from tickrelay_airflow.cron import Cron

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

AHEAD = Ahead("ahead", "* * * * * ?", window=10, lead=30)
AWAY = 8
"""Seconds both schedulers are away, and a little more: less than the lead."""
BELATED = 60.0
"""Seconds that a tick may be late by, where a task that was to publish it died with its scheduler."""


def test_no_tick_is_missed_or_doubled(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Both schedulers are killed and stay away for less than the lead; then PostgreSQL, which holds Airflow's metadata and
    the ledger, is shut down at once and started again. Every second's tick has its effect exactly once.
    """
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
    since = AHEAD.write(site.airflow.dags, first)
    _await_effect_of(site, since)
    _await_published(site, AWAY)
    site.airflow.kill(*SCHEDULERS)
    _await_effect_of(site, datetime.now(UTC) + timedelta(seconds=AWAY))
    for scheduler in SCHEDULERS:
        site.airflow.start_component(scheduler)
    site.postgres.crash()
    site.postgres.start_again()
    restarted = datetime.now(UTC)
    until = restarted + timedelta(seconds=AHEAD.lead + AHEAD.window)  # windows that are published after it
    _await_effect_of(site, until)
    found = tally(site.consumer.effects("ahead"), Cron(AHEAD.expression), since, until)
    site.airflow.pause("ahead")
    with capsys.disabled():
        print(f"\n{words(found)}")  # noqa: T201 - the figure is what the test is run for
    assert found.is_exact, found


def _await_published(site: Site, seconds: float) -> None:
    """Until all ticks of the coming seconds are out, and no task is at work."""
    at_work = "SELECT count(*) FROM dag_run WHERE dag_id = 'ahead' AND state <> 'success'"
    last = "SELECT max(logical_date) FROM dag_run WHERE dag_id = 'ahead'"

    def are_out() -> bool:
        end = site.airflow.value(last) + timedelta(seconds=AHEAD.lead + AHEAD.window)
        return not site.airflow.value(at_work) and end > datetime.now(UTC) + timedelta(seconds=seconds)

    site.airflow.wait(are_out, "ticks aren't ahead")


def _await_effect_of(site: Site, tick: datetime) -> None:
    """Until the tick of this second has its effect; what has ended by itself is started again meanwhile."""
    wanted = float(int(tick.timestamp()))
    tended = time.monotonic()

    def has_effect() -> bool:
        nonlocal tended
        if time.monotonic() - tended > 2:
            site.airflow.tend()
            tended = time.monotonic()
        return any(effect.tick == wanted for effect in site.consumer.effects("ahead"))

    ahead = max(0.0, wanted - time.time())
    site.airflow.wait(has_effect, f"no effect of the tick {tick}", within=ahead + BELATED)
