# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Triggerers killed at random moments; the seed is printed, and given by TICKRELAY_SEED to see one again."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.chaos.airflow.conftest import Site
from tests.chaos.airflow.killing import Killing

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(500)]

ROUNDS = 3


def test_every_message_once(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    One triggerer or both, whenever it may be: each message of a watched queue is given to one run, and each message
    sensors wait for to one sensor.
    """
    seed = int(os.environ.get("TICKRELAY_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nseed {seed}")  # noqa: T201 - to see it again
    killing = Killing(site.airflow, site.broker, tmp_path / "noted", seed)
    killing.prepare()
    for _ in range(ROUNDS):
        killing.play()
    found = killing.found()
    with capsys.disabled():
        print(found)  # noqa: T201 - the figure is what the test is run for
    assert not found.lost
    assert not found.doubled
