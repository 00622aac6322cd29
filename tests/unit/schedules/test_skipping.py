# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Skipping ticks by the ledger alone, whatever else is in force; and a schedule whose name there isn't known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tickrelay_airflow.control.desk import Desk
from tickrelay_airflow.control.records import Definition
from tickrelay_airflow.control.revoking import kind_of, pausing
from tickrelay_airflow.control.skipping import skip, unskip
from tickrelay_airflow.timetable import CronSchedule
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.base import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


@pytest.fixture
def desk(ledger: Ledger) -> Callable[[str], Desk]:
    """The desk of an hourly schedule, by the name that the ledger has for it."""

    def make(schedule: str) -> Desk:
        settings: dict[str, Any] = CronSchedule("0 * * * *", jitter="9m", seed="x").serialize()
        known = {"expression": "0 * * * *", "timezone": "UTC", "words": "", "paused": False}
        target = Definition(dag_id="x", schedule=schedule, ledger=None, settings=settings, **known)
        return Desk(airflow=None, open_ledger=lambda: ledger, target=target, by="me")  # type: ignore[arg-type]

    return make


def test_skipped_during_a_pause(desk: Callable[[str], Desk], ledger: Ledger) -> None:
    """It's a skip of its own: the tick is left out also when somebody resumes. Said twice it's one."""
    ledger.revocations.revoke(pausing("a/x", 0.0, by="me", reason=""))
    changed = [skip(desk("a/x"), 1).changed for _ in range(2)]

    assert [True, False] == changed
    assert ["pause", "skip"] == sorted(kind_of(one) for one in ledger.revocations.list("a/x"))


def test_undone_by_the_same_names(desk: Callable[[str], Desk], ledger: Ledger) -> None:
    """Ticks are named by their own instants, whenever their work was to begin."""
    airflow = desk("a/x")
    skipped = skip(airflow, 3).facts["skipped"]

    assert skipped == unskip(airflow).facts["restored"]
    assert [] == ledger.revocations.list()


def test_an_airflow_that_doesn_t_know_its_connection(desk: Callable[[str], Desk], ledger: Ledger) -> None:
    """Nothing is written under a name that no message has, and nobody is told that ticks were revoked."""
    with pytest.raises(ConfigurationError, match="nothing was written; give it the connection"):
        skip(desk("/x"), 1)

    assert [] == ledger.revocations.list()
