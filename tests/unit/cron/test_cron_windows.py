# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ticks ahead: a schedule's windows, and which of them Airflow is told to run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.utils.types import DagRunType
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cron.test_cron_timetable import NOW, at

from tickrelay_airflow.cron import CronError
from tickrelay_airflow.timetable import CronSchedule

SECOND = timedelta(seconds=1)


def ahead(
    expression: str = "*/5 * * * * ?", window: Any = "1m", lead: Any = "30s", **more: Any
) -> CronSchedule:
    """A windowed schedule."""
    return CronSchedule(expression, window=window, lead=lead, **more)


def following(
    schedule: CronSchedule,
    last: DataInterval | None = None,
    *,
    now: datetime = NOW,
    catchup: bool = False,
    earliest: str | None = None,
    latest: str | None = None,
) -> DagRunInfo | None:
    """The next run, at an instant."""
    restriction = TimeRestriction(earliest and at(earliest), latest and at(latest), catchup)  # type: ignore[arg-type]
    with time_machine.travel(now, tick=False):
        return schedule.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)


def walk(schedule: CronSchedule, begin: datetime, end: datetime) -> Iterator[DagRunInfo]:
    """Every run with catchup from one instant to another."""
    restriction, last = TimeRestriction(begin, end, True), None  # type: ignore[arg-type]
    while info := schedule.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        yield info
        last = info.data_interval


def told(info: DagRunInfo | None) -> str:
    """A run's data interval, as times of day."""
    assert info is not None
    return f"{info.data_interval.start:%H:%M:%S}-{info.data_interval.end:%H:%M:%S}"


class TestRuns:
    """Which runs there are."""

    def test_an_interval_is_its_window_moved_back_by_the_lead(self) -> None:
        """Logical date and run-after are its start, so that Airflow doesn't hold the run; its ticks lie ahead."""
        info = following(ahead(), earliest="2026-07-01T12:31:10")
        assert info is not None
        assert "12:31:30-12:32:30" == told(info)
        assert info.logical_date == info.run_after == info.data_interval.start
        ticks = list(ahead().ticks_of(info.data_interval))
        assert (at("2026-07-01T12:32:00"), at("2026-07-01T12:32:55"), 12) == (ticks[0], ticks[-1], len(ticks))

    def test_windows_without_ticks_make_no_run(self) -> None:
        """A daily schedule has one run a day, however short its windows."""
        runs = list(walk(ahead("0 0 6 * * ?"), at("2026-07-01T00:00"), at("2026-07-04T00:00")))
        assert ["05:59:30-06:00:30"] * 3 == [told(run) for run in runs]

    def test_without_catchup_the_latest_tick_s_window_runs_and_all_ahead(self) -> None:
        """As Airflow runs the latest missed tick; what lies ahead comes in time even under a lead of many windows."""
        schedule = ahead(window="10s", lead="1m")
        last = DataInterval(at("2026-07-01T11:00:00"), at("2026-07-01T11:00:10"))
        info = following(schedule, last)
        assert "12:29:00-12:29:10" == told(info)
        assert info is not None
        assert NOW == next(schedule.ticks_of(info.data_interval))
        assert "12:29:10-12:29:20" == told(following(schedule, info.data_interval))
        assert "11:00:10-11:00:20" == told(following(schedule, last, catchup=True))
        daily = following(
            ahead("0 0 6 * * ?"), DataInterval(at("2026-06-30T05:59:30"), at("2026-06-30T06:00:30"))
        )
        assert "05:59:30-06:00:30" == told(daily)

    def test_start_and_end_of_the_dag(self) -> None:
        """The first whole window whose interval begins at or after the start date, the last at or before the end."""
        assert "12:31:30-12:32:30" == told(following(ahead(), earliest="2026-07-01T12:31:30", catchup=True))
        last = DataInterval(at("2026-07-01T12:31:30"), at("2026-07-01T12:32:30"))
        assert following(ahead(), last, latest="2026-07-01T12:32:29") is None
        assert following(ahead(), last, latest="2026-07-01T12:32:30") is not None

    def test_without_a_start_it_begins_now(self) -> None:
        """With the ticks that are still ahead, and none before."""
        schedule = ahead()
        info = following(schedule, now=at("2026-07-01T12:30:12.5"))
        assert info is not None
        assert at("2026-07-01T12:30:15") == next(schedule.ticks_of(info.data_interval))
        assert "12:30:30-12:31:30" == told(following(schedule, info.data_interval))

    def test_bounds_of_the_schedule(self) -> None:
        """From `start` on, up to and without `end`; afterwards there is no run."""
        schedule = ahead(start="2026-07-01T12:40:02+00:00", end=at("2026-07-01T12:40:20"))
        (run,) = walk(schedule, at("2026-07-01T00:00"), at("2026-07-02T00:00"))
        assert [5, 10, 15] == [tick.second for tick in schedule.ticks_of(run.data_interval)]
        daily = CronSchedule("@daily", start="2026-07-02T00:00:00+00:00", end="2026-07-04T00:00:00Z")
        restriction = TimeRestriction(None, None, True)
        first = daily.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        with time_machine.travel(NOW, tick=False):
            first = daily.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        assert first == DagRunInfo.exact(at("2026-07-02"))
        assert first is not None
        second = following(daily, first.data_interval, catchup=True)
        assert second == DagRunInfo.exact(at("2026-07-03"))
        assert second is not None
        assert following(daily, second.data_interval, catchup=True) is None

    def test_a_manual_run_is_one_tick_now(self) -> None:
        """The instant itself: no lead, no window."""
        interval = ahead().infer_manual_data_interval(run_after=NOW)
        assert [NOW] == list(ahead().ticks_of(interval))

    @pytest.mark.parametrize("start", ["0001-01-01T00:00", "1969-12-31T00:00", "9999-12-31T23:59"])
    def test_no_date_raises(self, start: str) -> None:
        """Dates far outside the range of schedules are answered, not raised over."""
        for catchup in (False, True):
            following(ahead(), earliest=start, catchup=catchup)
            following(ahead(), DataInterval.exact(at(start)), catchup=catchup)


class TestChanges:
    """A schedule that is edited while runs are under way."""

    @pytest.mark.parametrize(
        "after", [{}, {"window": "10s"}, {"lead": "10s"}, {"lead": "50s"}, {"window": 90, "lead": 0}]
    )
    def test_no_tick_is_lost(self, after: dict[str, Any]) -> None:
        """Ticks may be published again, under the ids they had; none is left out. Logical dates only grow."""
        before = ahead()
        (old,) = [
            run for run in walk(before, NOW, NOW + timedelta(minutes=1)) if run.run_after <= NOW + SECOND * 30
        ]
        schedule = ahead(**after)
        known = set(before.ticks_of(old.data_interval))
        info = following(schedule, old.data_interval, catchup=True)
        for _ in range(3):
            assert info is not None
            assert info.data_interval.start > old.data_interval.start
            known |= set(schedule.ticks_of(info.data_interval))
            info = following(schedule, info.data_interval, catchup=True)
        assert sorted(known) == list(schedule.cron.between(min(known), max(known) + SECOND))

    def test_from_a_run_per_tick_to_windows(self) -> None:
        """The tick that ran last isn't published again."""
        schedule = ahead()
        last = DataInterval.exact(at("2026-07-01T12:31:20"))
        info = following(schedule, last, catchup=True)
        assert info is not None
        assert at("2026-07-01T12:31:55") >= next(schedule.ticks_of(info.data_interval)) > last.end
        assert info.data_interval.start > last.start


class TestArguments:
    """What can be said, and what is refused."""

    @pytest.mark.parametrize("window", ["1m", "60s", 60, 60.0, timedelta(minutes=1)])
    def test_spellings_of_a_length(self, window: Any) -> None:
        """Text as in Go, seconds, timedelta."""
        assert ahead(window=window) == ahead()

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"window": 0}, "window: '0' is outside 1s"),
            ({"window": "1.5s"}, "window: '1.5s' is not a whole number of seconds"),
            ({"window": "soon"}, "window: 'soon' is no duration"),
            ({"window": True}, "window: 'True' is no duration"),
            ({"window": float("nan")}, "window: 'nan' is no duration"),
            ({"lead": "-1s"}, "lead: '-1s' is no duration"),
            ({"lead": -1}, "lead: '-1' is outside 0s"),
            ({"lead": 1e300}, r"lead: '1e\+300' is outside 0s"),
            ({"window": None}, "lead: has no meaning without window"),
            ({"jitter": "0.5ms", "seed": "s"}, "jitter: .* finer than a millisecond"),
            ({"jitter": "5s"}, "seed: jitter needs one"),
            ({"start": "yesterday"}, "start: 'yesterday' is no ISO 8601 instant"),
            ({"start": datetime(2026, 1, 1)}, "start: .* offset from UTC"),
            ({"end": 5}, "end: '5' is no instant"),
            ({"start": NOW, "end": NOW}, "end: .* is not after start"),
            ({"start": "2026-01-01T00:00:01Z", "end": "2026-01-01T00:00:04Z"}, "never ticks; .*2026-01-01"),
        ],
    )
    def test_what_is_wrong_is_said_where_the_dag_is_parsed(
        self, arguments: dict[str, Any], text: str
    ) -> None:
        """By name, with what was written."""
        with pytest.raises(CronError, match=text):
            ahead(**arguments)

    def test_serialised_as_plain_text(self) -> None:
        """Through JSON and back; an old serialisation, without the new arguments, means the same as ever."""
        full = ahead(jitter=1.5, seed="s", start="2026-01-01T00:00:00+02:00", end=at("2027-01-01"))
        stored = json.loads(json.dumps(full.serialize()))
        assert {
            "window": "60s",
            "lead": "30s",
            "jitter": "1500ms",
            "start": "2025-12-31T22:00:00+00:00",
            "end": "2027-01-01T00:00:00+00:00",
        }.items() <= stored.items()
        assert full == CronSchedule.deserialize(stored)
        assert hash(full) == hash(CronSchedule.deserialize(stored))
        old = {name: value for name, value in stored.items() if name in ("expression", "timezone", "seed")}
        assert CronSchedule("*/5 * * * * ?", seed="s") == CronSchedule.deserialize(old)

    def test_words_for_people(self) -> None:
        """Airflow's pages show when it ticks, and that it's published ahead."""
        assert "Every 5 seconds; in windows of 60s, 30s ahead" == ahead().description

    def test_a_fingerprint_tells_forms_apart(self) -> None:
        """The same for the same arguments however they are spelled, another for any other."""
        forms = [
            ahead(),
            ahead(lead=0),
            ahead(window=90),
            CronSchedule("*/5 * * * * ?"),
            ahead("*/4 * * * * ?"),
        ]
        assert len(forms) == len({form.fingerprint for form in forms})
        assert ahead(window=60, lead=timedelta(seconds=30)).fingerprint == ahead().fingerprint


class TestJitter:
    """A delay that only seed and tick decide."""

    @given(st.integers(0, 4_000_000_000), st.text(min_size=1), st.integers(0, 100_000))
    def test_within_its_bounds_and_the_same_everywhere(self, second: int, seed: str, most: int) -> None:
        """From zero to the most, in whole milliseconds, whoever asks."""
        tick = datetime.fromtimestamp(second, UTC)
        one, other = (CronSchedule("@daily", jitter=f"{most}ms", seed=seed) for _ in range(2))
        delay = one.due_of(tick) - tick
        assert timedelta(0) <= delay <= timedelta(milliseconds=most)
        assert delay == other.due_of(tick) - tick

    def test_seeds_and_ticks_spread(self) -> None:
        """Over the whole of it."""
        ticks = [NOW + timedelta(days=n) for n in range(200)]
        delays = [
            (CronSchedule("@daily", jitter="10s", seed=seed).due_of(tick) - tick).total_seconds()
            for seed in ("a", "b")
            for tick in ticks
        ]
        assert len(set(delays)) > 350
        assert (min(delays) < 0.5, max(delays) > 9.5) == (True, True)

    def test_it_moves_run_after_and_nothing_else(self) -> None:
        """Logical date and data interval are the tick; the run's name is its tick's, as delayed ticks may meet."""
        schedule = CronSchedule("*/5 * * * * ?", jitter="1m", seed="s")
        last = DataInterval.exact(NOW - timedelta(minutes=5))
        found = []
        for _ in range(12):
            info = following(schedule, last, catchup=True)
            assert info is not None
            last = info.data_interval
            found.append(info.logical_date)
            assert info.run_after == schedule.due_of(last.start)
            for kind in (DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB):
                name = schedule.generate_run_id(run_type=kind, run_after=info.run_after, data_interval=last)
                assert f"{kind.value}__{last.start.isoformat()}" == name
        assert found == [NOW - timedelta(minutes=5) + SECOND * 5 * n for n in range(1, 13)]

    def test_without_catchup_a_delayed_tick_isnt_a_missed_one(self) -> None:
        """Jitter longer than the time between ticks skips none of them."""
        schedule = CronSchedule("*/5 * * * * ?", jitter="1m", seed="s")
        now, last = NOW, DataInterval.exact(NOW - SECOND * 5)
        for n in range(20):
            info = following(schedule, last, now=now)
            assert info is not None
            assert NOW + SECOND * 5 * n == info.logical_date
            now, last = max(now, info.run_after), info.data_interval


PLACES = [
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("America/Sao_Paulo", "2018-11-04T03:00"),
    ("America/Sao_Paulo", "2018-02-18T02:00"),
    ("Africa/Cairo", "2026-04-23T22:00"),
    ("Africa/Cairo", "2026-10-29T21:00"),
    ("Atlantic/Azores", "2026-03-29T01:00"),
    ("Atlantic/Azores", "2026-10-25T01:00"),
    ("Antarctica/Troll", "2026-03-29T01:00"),
    ("Antarctica/Troll", "2026-10-25T01:00"),
    ("UTC", "2028-02-29T12:00"),
]
"""Clock changes, and a leap day."""

EXPRESSIONS = [
    "*/7 * * * * ?",
    "13 */3 * * * ?",
    "30 1,2 * * *",
    "0 0 0 29 2 ?",
    "*/20 * * * *",
    "0 0-5 * * *",
    "@every 90s",
    "17 59 23 L * ?",
]


class TestEveryTickIsInExactlyOneWindow:
    """Whatever the zone does, and whatever the clock does."""

    @settings(deadline=None, max_examples=80)
    @given(
        st.sampled_from(PLACES),
        st.sampled_from(EXPRESSIONS),
        st.integers(7, 900),
        st.integers(0, 2_000),
        st.sampled_from([("skip", "first"), ("shift", "both")]),
    )
    def test_through_clock_changes(
        self, place: tuple[str, str], expression: str, window: int, lead: int, policy: tuple[Any, Any]
    ) -> None:
        """Intervals follow one another without a gap but for windows without ticks, and their ticks are the cron's."""
        zone, change = place
        schedule = CronSchedule(
            expression, timezone=zone, window=window, lead=lead, gap=policy[0], overlap=policy[1]
        )
        begin, end = at(change) - timedelta(minutes=100), at(change) + timedelta(minutes=100)
        runs = list(walk(schedule, begin, end))
        found = [tick for run in runs for tick in schedule.ticks_of(run.data_interval)]
        if not runs:
            return
        # From the first window to the last that begin within the DAG's dates; what lies before and behind isn't theirs.
        grid, lead_time = timedelta(seconds=window), timedelta(seconds=lead)
        first = begin + lead_time + grid - timedelta(seconds=(begin + lead_time).timestamp() % window)
        stop = runs[-1].data_interval.end + lead_time
        whole = first - grid if first - grid == begin + lead_time else first
        assert found == list(schedule.cron.between(whole, stop))
        assert all(list(schedule.ticks_of(run.data_interval)) for run in runs)
        dates = [run.logical_date for run in runs]
        assert dates == sorted(set(dates))  # type: ignore[type-var]

    @settings(deadline=None, max_examples=80)
    @given(
        st.sampled_from(EXPRESSIONS[:2]),
        st.integers(1, 120),
        st.integers(0, 300),
        st.lists(st.integers(-600, 600), min_size=1, max_size=25),
        st.booleans(),
    )
    def test_whatever_the_clock_does(
        self,
        expression: str,
        window: int,
        lead: int,
        steps: list[int],
        catchup: bool,
    ) -> None:
        """Stepped back or forward between two runs: nothing comes twice, and only what was over is left out."""
        schedule = CronSchedule(expression, window=window, lead=lead)
        last = DataInterval(
            *(NOW + SECOND * (n - NOW.timestamp() % window - lead % window) for n in (0, window))
        )
        now: datetime = NOW
        latest = now
        found: list[datetime] = []
        begun = last.end + timedelta(seconds=lead)
        for step in steps:
            now += timedelta(seconds=step)
            latest = max(latest, now)
            info = following(schedule, last, now=now, catchup=catchup)
            assert info is not None
            last = info.data_interval
            found += schedule.ticks_of(last)
        assert len(found) == len(set(found))
        missed = set(schedule.cron.between(begun, found[-1])) - set(found)
        assert all(not catchup and tick <= latest for tick in missed)
