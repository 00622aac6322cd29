# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A schedule of five seconds with ticks ahead, seen through everything that the tests before this one have killed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.airflow.ahead import words
from tests.chaos.airflow.conftest import WITNESS, Site
from tests.services.airflow_ha.effects import Tally, tally
from tickrelay_airflow.cron import Cron

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

TICKS = 120
BELATED = 60.0
"""Seconds that a tick may be late by, where a task that was to publish it died with its scheduler."""


def test_no_tick_is_missed_or_doubled(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """
    From the first tick on, at least 120 of them, while schedulers, triggerers and the database were killed: each has
    its effect exactly once. Alone, this test waits for ten minutes.
    """
    least = site.witnessed_since + timedelta(seconds=5 * TICKS)
    until = max(least, datetime.now(UTC) - timedelta(seconds=5))
    ahead = max(0.0, until.timestamp() - time.time())
    site.airflow.wait(lambda: not _found(site, until).missed, "ticks are missing", within=ahead + BELATED)
    found = _found(site, until)
    with capsys.disabled():
        print(f"\n{words(found)}")  # noqa: T201 - the figure is what the test is run for
    assert found.expected >= TICKS
    assert found.is_exact, found


def _found(site: Site, until: datetime) -> Tally:
    return tally(site.consumer.effects(WITNESS.name), Cron(WITNESS.expression), site.witnessed_since, until)
