# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a clock change does to a schedule, zone by zone. All instants are UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tickrelay_airflow.cron import Cron


def ticks(expression: str, zone: str, start: str, hours: float = 24, **policy: Any) -> list[str]:
    """The ticks of a window, as hours and minutes UTC with the day in front where it changes."""
    schedule, begin = Cron(expression, timezone=zone, **policy), datetime.fromisoformat(start + "Z")
    found = list(schedule.between(begin, begin + timedelta(hours=hours)))
    assert found == backwards(schedule, begin, begin + timedelta(hours=hours))
    return [f"{tick:%dT%H:%M}" for tick in found]


def backwards(schedule: Cron, begin: datetime, end: datetime) -> list[datetime]:
    """The same window walked with `previous`."""
    found, tick = [], schedule.previous(end)
    while tick is not None and tick >= begin:
        found.append(tick)
        tick = schedule.previous(tick)
    return found[::-1]


GAPS = [
    # zone, UTC window of 24 h around the change, a wall time in the gap, it moved by the gap's length
    ("America/New_York", "2026-03-08T05:00", "30 2 * * *", "08T07:30"),
    ("Australia/Lord_Howe", "2026-10-03T13:30", "15 2 * * *", "03T15:45"),
    ("America/Sao_Paulo", "2018-11-04T02:00", "0 0 * * *", "04T03:00"),
    ("Africa/Cairo", "2026-04-23T21:00", "30 0 * * *", "23T22:30"),
    ("Atlantic/Azores", "2026-03-29T00:00", "30 0 * * *", "29T01:30"),
    ("Antarctica/Troll", "2026-03-29T00:00", "30 2 * * *", "29T02:30"),
    ("Pacific/Chatham", "2026-09-26T11:15", "0 3 * * *", "26T14:15"),
    ("Europe/Dublin", "2026-03-29T00:00", "30 1 * * *", "29T01:30"),
    ("Pacific/Apia", "2011-12-30T09:30", "0 9 30 * *", "30T19:00"),
]


@pytest.mark.parametrize(("zone", "start", "expression", "moved"), GAPS)
def test_gap(zone: str, start: str, expression: str, moved: str) -> None:
    """A wall time that does not exist ticks not at all with skip, and moved by the gap with shift."""
    assert ticks(expression, zone, start, 22, gap="skip") == []
    assert ticks(expression, zone, start, 22, gap="shift") == [moved]


OVERLAPS = [
    # zone, UTC window around the change, a wall time that comes twice, both of its instants
    ("America/New_York", "2026-11-01T04:00", "30 1 * * *", ["01T05:30", "01T06:30"]),
    ("Australia/Lord_Howe", "2026-04-04T13:00", "45 1 * * *", ["04T14:45", "04T15:15"]),
    ("America/Sao_Paulo", "2018-02-17T12:00", "30 23 * * *", ["18T01:30", "18T02:30"]),
    ("Africa/Cairo", "2026-10-29T12:00", "30 23 * * *", ["29T20:30", "29T21:30"]),
    ("Atlantic/Azores", "2026-10-25T00:00", "30 0 * * *", ["25T00:30", "25T01:30"]),
    ("Antarctica/Troll", "2026-10-24T23:00", "30 1 * * *", ["24T23:30", "25T01:30"]),
    ("Pacific/Chatham", "2026-04-04T12:00", "0 3 * * *", ["04T13:15", "04T14:15"]),
    ("Europe/Dublin", "2026-10-25T00:00", "30 1 * * *", ["25T00:30", "25T01:30"]),
]


@pytest.mark.parametrize(("zone", "start", "expression", "both"), OVERLAPS)
def test_overlap(zone: str, start: str, expression: str, both: list[str]) -> None:
    """A fixed wall time that comes twice ticks the first time only, or both times."""
    assert ticks(expression, zone, start, 20, overlap="first") == both[:1]
    assert ticks(expression, zone, start, 20, overlap="both") == both


@pytest.mark.parametrize("overlap", ["first", "both"])
@pytest.mark.parametrize("gap", ["skip", "shift"])
@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("America/New_York", "2026-03-08T00:00"),
        ("America/New_York", "2026-11-01T00:00"),
        ("America/Sao_Paulo", "2018-11-04T00:00"),
        ("America/Sao_Paulo", "2018-02-17T12:00"),
        ("Europe/Dublin", "2026-10-25T00:00"),
        ("Antarctica/Troll", "2026-10-24T18:00"),
        ("Pacific/Apia", "2011-12-30T00:00"),
    ],
)
@pytest.mark.parametrize(
    ("expression", "minutes"),
    [
        ("0 * * * *", 60),
        ("*/5 * * * *", 5),
        ("0 0 0-23 * * ?", 60),
        ("0 0/15 0/1 * * ?", 15),
        ("H * * * *", 60),
    ],
)
def test_hourly_schedules_follow_elapsed_time(  # noqa: PLR0917 - the full product
    expression: str, minutes: int, zone: str, start: str, gap: str, overlap: str
) -> None:
    """A schedule of every hour ticks evenly through any whole-hour change, whatever the policy."""
    begin = datetime.fromisoformat(start + "Z")
    schedule = Cron(expression, timezone=zone, gap=gap, overlap=overlap)  # type: ignore[arg-type]
    found = list(schedule.between(begin, begin + timedelta(days=1)))
    assert len(found) == 24 * 60 // minutes
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=minutes)}


def test_stepping_hours_tick_in_both_passes() -> None:
    """An hour step names wall hours, but is no fixed time: a repeated hour of it ticks twice."""
    window = ("Europe/Berlin", "2026-10-24T22:00", 6)
    assert ticks("0 */2 * * *", *window) == ["24T22:00", "25T00:00", "25T01:00", "25T03:00"]
    assert ticks("0 0 0/2 * * ?", *window) == ticks("0 */2 * * *", *window)


def test_hour_ranges_are_fixed_wall_times() -> None:
    """`0-5` names six wall times: the repeated one ticks once, the missing one by the gap's policy."""
    fall, spring = ("America/New_York", "2026-11-01T04:00", 8), ("America/New_York", "2026-03-08T05:00", 8)
    assert ticks("0 0-5 * * *", *fall) == [
        "01T04:00",
        "01T05:00",
        "01T07:00",
        "01T08:00",
        "01T09:00",
        "01T10:00",
    ]
    assert len(ticks("0 0-5 * * *", *fall, overlap="both")) == 7
    assert ticks("0 0-5 * * *", *spring) == ["08T05:00", "08T06:00", "08T07:00", "08T08:00", "08T09:00"]


def test_minutes_of_a_fixed_hour_stay_together() -> None:
    """`*/15 1` is a fixed hour: with first all its ticks are in the first pass."""
    window = ("America/New_York", "2026-11-01T04:00", 8)
    assert ticks("*/15 1 * * *", *window) == ["01T05:00", "01T05:15", "01T05:30", "01T05:45"]
    assert len(ticks("*/15 1 * * *", *window, overlap="both")) == 8


def test_shift_never_doubles_a_tick() -> None:
    """A moved tick that meets a real one is the same tick."""
    window = ("America/New_York", "2026-03-08T05:00", 8)
    assert ticks("0 2,3 * * *", *window, gap="shift") == ["08T07:00"]
    assert ticks("30 2 * * *", *window, gap="shift") == ["08T07:30"]
    assert ticks("30 2,4 * * *", *window, gap="shift") == ["08T07:30", "08T08:30"]


def test_shift_keeps_the_order() -> None:
    """Moved ticks mix with real ones in order: 02:15, moved to 02:45, lies between 02:40 and 02:50."""
    window = ("Australia/Lord_Howe", "2026-10-03T15:00", 3)
    assert ticks("15,40,50 2 * * *", *window, gap="shift") == ["03T15:40", "03T15:45", "03T15:50"]


def test_half_hour_gap_of_an_hourly_schedule() -> None:
    """Lord Howe leaves out 02:00-02:30: skip drops the tick of 02:00, shift has it an hour after 01:00."""
    window = ("Australia/Lord_Howe", "2026-10-03T14:00", 3)
    assert ticks("0 * * * *", *window, gap="skip") == ["03T14:30", "03T16:00"]
    assert ticks("0 * * * *", *window, gap="shift") == ["03T14:30", "03T15:30", "03T16:00"]


def test_lost_day() -> None:
    """Apia had no 30 December 2011: a daily schedule ticks on the 29th and the 31st, 24 hours apart."""
    for gap in ("skip", "shift"):
        found = ticks("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00", 72, gap=gap)
        assert found == ["29T19:00", "30T19:00", "31T19:00"]


def test_yearly_tick_in_the_repeated_hour() -> None:
    """The second pass is found even when the next matching wall time is a year away."""
    schedule = Cron("30 1 1 11 *", timezone="America/New_York", overlap="both")
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert schedule.next(first) == first + timedelta(hours=1)
    assert schedule.previous(first + timedelta(hours=1)) == first
    once = Cron("30 1 1 11 *", timezone="America/New_York")
    assert once.next(first) == datetime(2027, 11, 1, 5, 30, tzinfo=UTC)


def test_yearly_tick_in_the_gap() -> None:
    """A date that falls into the gap once in years is skipped or moved in that year only."""
    late = datetime(2026, 1, 1, tzinfo=UTC)
    skipping = Cron("30 2 8 3 *", timezone="America/New_York")
    assert skipping.next(late) == datetime(2027, 3, 8, 7, 30, tzinfo=UTC)
    moving = Cron("30 2 8 3 *", timezone="America/New_York", gap="shift")
    assert moving.next(late) == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert moving.previous(datetime(2027, 1, 1, tzinfo=UTC)) == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
