# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`next`, `previous`, `between` and `matches`: bounds, ends and effort."""

from __future__ import annotations

import copy
import pickle
import time
from datetime import UTC, datetime, timedelta, timezone

import pendulum
import pytest

from tickrelay_airflow.cron import Cron, CronError

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_next_and_previous_are_strict() -> None:
    """The instant asked about is never the answer."""
    schedule = Cron("0 12 * * *")
    assert schedule.next(NOON) == NOON + timedelta(days=1)
    assert schedule.previous(NOON) == NOON - timedelta(days=1)


def test_fractions_of_a_second() -> None:
    """A microsecond after a tick its predecessor is that tick; a microsecond before, its successor is."""
    schedule, moment = Cron("0 12 * * *"), timedelta(microseconds=1)
    assert schedule.next(NOON - moment) == NOON
    assert schedule.previous(NOON + moment) == NOON
    assert schedule.matches(NOON)
    assert not schedule.matches(NOON + moment)


@pytest.mark.parametrize(
    "instant",
    [
        NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
        pendulum.instance(NOON).in_timezone("America/New_York"),
    ],
)
def test_any_aware_instant_will_do(instant: datetime) -> None:
    """Arguments may be in any zone and of any datetime class; answers are plain datetimes in UTC."""
    answer = Cron("0 12 * * *").next(instant)
    assert answer == NOON + timedelta(days=1)
    assert type(answer) is datetime
    assert answer.tzinfo is UTC


def test_naive_instants_are_refused() -> None:
    """A time without a zone is no instant."""
    with pytest.raises(CronError, match="pass an aware datetime"):
        Cron("0 12 * * *").next(datetime(2026, 1, 1))


def test_between_is_half_open() -> None:
    """Windows set side by side hold every tick exactly once: the start belongs to them, the end does not."""
    schedule, hour = Cron("0 * * * *"), timedelta(hours=1)
    assert list(schedule.between(NOON, NOON + 2 * hour)) == [NOON, NOON + hour]
    assert list(schedule.between(NOON, NOON + 9 * hour, limit=1)) == [NOON]
    assert list(schedule.between(NOON, NOON + 9 * hour, limit=0)) == []
    assert list(schedule.between(NOON, NOON)) == []


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize(
    "expression",
    ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 29 2 ? 2100", "0 0 0 31 * MON#1", "0 0 0 L 2 TUE#1"],
)
def test_unsatisfiable_ends_quickly(expression: str, zone: str) -> None:
    """An expression that no day satisfies has no ticks, and finding that out takes less than 10 ms."""
    schedule = Cron(expression, timezone=zone)
    began = time.perf_counter()
    assert schedule.next(datetime(1970, 1, 1, tzinfo=UTC)) is None
    assert schedule.previous(datetime(2199, 1, 1, tzinfo=UTC)) is None
    assert time.perf_counter() - began < 2 * 0.010


@pytest.mark.parametrize("zone", ["UTC", "Europe/Dublin", "America/Sao_Paulo"])
def test_rare_days_are_found_quickly(zone: str) -> None:
    """February 29 on a Monday comes every 28 years, across 2100 after 40; either takes less than 10 ms."""
    schedule = Cron("0 0 12 29 2 MON", timezone=zone)
    began = time.perf_counter()
    ends = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
    years = [tick.year for tick in schedule.between(*ends)]
    assert years == [1988, 2016, 2044, 2072, 2112, 2140, 2168, 2196]
    assert time.perf_counter() - began < 9 * 0.010


def test_range_of_years() -> None:
    """Ticks lie from 1970 to 2199; any instant may be asked about, even the ends of datetime."""
    schedule = Cron("0 0 1 1 *")
    oldest, newest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert schedule.next(oldest) == datetime(1970, 1, 1, tzinfo=UTC)
    assert schedule.previous(newest) == datetime(2199, 1, 1, tzinfo=UTC)
    assert schedule.next(newest) is None
    assert schedule.previous(oldest) is None
    every = Cron("@every 1h")
    assert every.next(oldest) == datetime(1970, 1, 1, tzinfo=UTC)
    assert every.next(newest) is None
    assert every.previous(oldest) is None


def test_schedules_are_values() -> None:
    """Equal arguments make equal schedules; they can be hashed, copied, pickled, and not be changed."""
    schedule = Cron("0 9 L,15W * MON#1", timezone="Europe/Berlin", gap="shift")
    schedule.next(NOON)
    assert Cron("0 9 L,15W * MON#1", timezone="Europe/Berlin", gap="shift") == schedule
    assert hash(copy.deepcopy(schedule)) == hash(schedule)
    assert pickle.loads(pickle.dumps(schedule)).next(NOON) == schedule.next(NOON)
    assert Cron("0 9 L,15W * MON#1", timezone="Europe/Berlin") != schedule
    with pytest.raises(AttributeError):
        schedule.seed = "other"  # type: ignore[misc]


def test_construction_is_cheap() -> None:
    """Building a schedule again costs microseconds, so a timetable may be rebuilt on every parse."""
    Cron("0 9 * * MON-FRI", timezone="Europe/Berlin")
    began = time.perf_counter()
    for _ in range(1000):
        Cron("0 9 * * MON-FRI", timezone="Europe/Berlin")
    assert time.perf_counter() - began < 0.5
