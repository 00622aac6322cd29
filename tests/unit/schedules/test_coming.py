# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The coming ticks, as the timetable will have them, and which of them nothing will come of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tickrelay_airflow.control.records import Definition
from tickrelay_airflow.control.revoking import EVERY_GENERATION, kind_of, pausing, skipping
from tickrelay_airflow.control.ticks import coming
from tickrelay_airflow.timetable import CronSchedule
from tickrelay_messaging.ledger.records import Revocation

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)


def definition(schedule: CronSchedule, **more: Any) -> Definition:
    """As Airflow has read it."""
    settings = schedule.serialize()
    known = {
        "expression": settings["expression"],
        "timezone": settings["timezone"],
        "words": "",
        "paused": False,
    }
    return Definition(dag_id="x", schedule="a/x", ledger=None, settings=settings, **known, **more)


@pytest.mark.parametrize(
    "schedule",
    [
        CronSchedule("0 30 2 ? * *", timezone="Europe/Berlin", gap="shift"),
        CronSchedule("H H * * *", seed="x", timezone="Asia/Tokyo"),
        CronSchedule("*/7 * * * * ?", window="1m", lead="30s", jitter="3s", seed="x"),
        CronSchedule("@every 90s", start=NOW + timedelta(minutes=2), end=NOW + timedelta(minutes=5)),
    ],
    ids=["gap", "hashed", "windows", "every"],
)
def test_those_of_the_timetable(schedule: CronSchedule) -> None:
    """Tick by tick what the timetable has, its delays too, though only its arguments are known."""
    found = coming(definition(schedule), 5, now=NOW)
    expected, tick = [], NOW
    while len(expected) < 5 and (after := schedule.next_tick(tick)) is not None:
        expected.append((after, schedule.due_of(after)))
        tick = after

    assert expected == [(one.at, one.due) for one in found]


def test_within_the_dag_s_dates() -> None:
    """The DAG's start and end bound the ticks: both may be ticks themselves."""
    schedule = CronSchedule("0 * * * *")
    found = coming(
        definition(schedule, starts=NOW + timedelta(hours=3), ends=NOW + timedelta(hours=4)), 5, now=NOW
    )

    assert [NOW + timedelta(hours=3), NOW + timedelta(hours=4)] == [one.at for one in found]


def test_in_the_zone() -> None:
    """Each is also written as its own zone writes it, on the day the clocks change too."""
    found = coming(definition(CronSchedule("0 12 * * *", timezone="Europe/Berlin")), 2, now=NOW)

    assert ["2026-03-29 12:00:00 CEST", "2026-03-30 12:00:00 CEST"] == [one.local for one in found]


def test_what_is_left_out() -> None:
    """A skip covers its tick alone, by when its work begins; a pause all; a revocation of older forms none."""
    known = definition(CronSchedule("*/10 * * * * ?", jitter="4s", seed="x"))
    ticks = coming(known, 3, now=NOW)
    skip = skipping("a/x", ticks[1].due, by="me", reason="")
    pause = pausing("a/x", NOW.timestamp(), by="me", reason="")
    older = Revocation(schedule="a/x", since=0.0, generation=7)

    assert any(one.at != one.due for one in ticks)
    assert [None, 0, None] == [one.revoked for one in coming(known, 3, [older, skip], now=NOW)]
    assert [0, 0, 0] == [one.revoked for one in coming(known, 3, [pause], now=NOW)]
    assert ["revocation", "skip", "pause"] == [kind_of(one) for one in (older, skip, pause)]
    assert "revocation" == kind_of(
        Revocation(schedule="a/x", since=0.0, until=60.0, generation=EVERY_GENERATION)
    )
