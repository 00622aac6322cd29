# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`CronSchedule` as Airflow's scheduler sees it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
import time_machine
from airflow.sdk import DAG
from airflow.serialization import encoders, helpers
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import DateTime

from tickrelay_airflow.cron import CronError
from tickrelay_airflow.timetable import CronSchedule

NOW = pendulum.datetime(2026, 7, 1, 12, 30)


def at(text: str) -> DateTime:
    """An instant in UTC."""
    found = pendulum.parse(text)
    assert isinstance(found, DateTime)
    return found


def following(
    schedule: Any,
    last: str | None = None,
    *,
    catchup: bool,
    earliest: str | None = None,
    latest: str | None = None,
) -> DagRunInfo | None:
    """The next run at NOW, after a last run, within the DAG's dates."""
    restriction = TimeRestriction(earliest and at(earliest), latest and at(latest), catchup)  # type: ignore[arg-type]
    with time_machine.travel(NOW, tick=False):
        info: DagRunInfo | None = schedule.next_dagrun_info(
            last_automated_data_interval=DataInterval.exact(at(last)) if last else None,
            restriction=restriction,
        )
    return info


def test_a_run_is_its_tick() -> None:
    """Data interval, logical date and run-after are the tick, in UTC."""
    info = following(CronSchedule("0 9 * * *", timezone="Europe/Berlin"), catchup=False)
    assert info == DagRunInfo.exact(at("2026-07-02T07:00Z"))
    assert info is not None
    assert info.logical_date == info.run_after == at("2026-07-02T07:00Z")
    assert isinstance(info.run_after, DateTime)
    assert info.run_after.timezone_name == "UTC"


def test_a_start_date_that_is_a_tick_runs_in_utc() -> None:
    """A start date in another zone is the first tick itself, given in UTC as run ids need it."""
    info = following(
        CronSchedule("0 9 * * *", timezone="Europe/Berlin"), catchup=True, earliest="2026-07-01T09:00+02:00"
    )
    assert info is not None
    assert info.run_after.isoformat() == "2026-07-01T07:00:00+00:00"


CASES = [
    # last run, earliest, latest
    (None, None, None),
    (None, "2026-06-28T00:00", None),
    (None, "2026-06-28T09:00", None),
    (None, "2026-08-01T00:00", None),
    (None, "2020-01-01T00:00", "2026-06-01T00:00"),
    ("2026-06-27T09:00", "2026-01-01T00:00", None),
    ("2026-06-30T09:00", "2026-01-01T00:00", None),
    ("2026-07-01T09:00", "2026-01-01T00:00", None),
    ("2026-07-01T09:00", "2026-07-10T00:00", None),
    ("2026-06-27T11:11", None, None),
    ("2026-07-05T09:00", None, None),
    ("2026-06-30T09:00", None, "2026-07-01T09:00"),
    ("2026-07-01T09:00", None, "2026-07-01T09:00"),
]


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize(("last", "earliest", "latest"), CASES)
def test_runs_are_chosen_as_stock_airflow_chooses(
    last: str | None, earliest: str | None, latest: str | None, *, catchup: bool
) -> None:
    """With and without catchup, start and end date, the next run is that of CronTriggerTimetable."""
    stock = CronTriggerTimetable("0 9 * * *", timezone="UTC")
    expected = following(stock, last, catchup=catchup, earliest=earliest, latest=latest)
    ours = following(CronSchedule("0 9 * * *"), last, catchup=catchup, earliest=earliest, latest=latest)
    assert ours == expected


def test_without_catchup_only_the_latest_missed_tick_runs() -> None:
    """After an outage the latest tick is run, the ones before are skipped; with catchup none is."""
    schedule = CronSchedule("0 */5 * * * ?")
    assert following(schedule, "2026-07-01T10:00", catchup=False) == DagRunInfo.exact(at("2026-07-01T12:30"))
    assert following(schedule, "2026-07-01T10:00", catchup=True) == DagRunInfo.exact(at("2026-07-01T10:05"))


def test_manual_run() -> None:
    """A manual run's interval is the instant it is run after."""
    assert CronSchedule("@daily").infer_manual_data_interval(run_after=NOW) == DataInterval.exact(NOW)


def test_an_ended_schedule_gives_no_run() -> None:
    """After its last tick a schedule gives None, never an error and never the last tick again."""
    schedule = CronSchedule("0 0 9 1 * ? 2026")
    assert following(schedule, "2026-12-01T09:00", catchup=True) is None
    assert following(CronSchedule("0 0 9 1 1 ? 2026"), "2026-01-01T09:00", catchup=False) is None
    assert following(CronSchedule("0 0 9 1 1 ? 2020"), catchup=False) is None


@pytest.mark.parametrize("start", ["0001-01-01T00:00", "1969-12-31T00:00", "9999-12-31T23:59"])
def test_no_date_raises(start: str) -> None:
    """Dates far outside the range of schedules are answered, not raised over."""
    schedule = CronSchedule("0 9 * * *", timezone="America/New_York")
    for catchup in (False, True):
        following(schedule, catchup=catchup, earliest=start)
        following(schedule, start, catchup=catchup)


@pytest.mark.parametrize(
    "arguments",
    [
        {"expression": "61 * * * *"},
        {"expression": "* * * * *", "timezone": "Mars/Olympus"},
        {"expression": "* * * * *", "gap": "move"},
        {"expression": "0 0 30 2 *"},
        {"expression": None},
    ],
)
def test_bad_arguments_raise_in_the_constructor(arguments: dict[str, Any]) -> None:
    """Whatever is wrong, also a schedule that never ticks, is an error where the DAG is parsed."""
    with pytest.raises(CronError):
        CronSchedule(**arguments)


def test_text_for_people() -> None:
    """The summary is the expression as written, the description its words and its zone."""
    schedule = CronSchedule("0 0 9 ? * MON-FRI", timezone="Europe/Berlin")
    assert schedule.summary == "0 0 9 ? * MON-FRI"
    assert schedule.description == "At 09:00, Monday through Friday (Europe/Berlin)"


FULL: dict[str, Any] = {
    "expression": "0 H 2 ? * MON-FRI",
    "timezone": "America/New_York",
    "gap": "shift",
    "overlap": "both",
    "dialect": "quartz",
    "seed": "billing",
}


def test_serialisation_is_plain_and_complete() -> None:
    """A schedule survives JSON with every argument; unknown keys of a later version do no harm."""
    schedule = CronSchedule(**FULL)
    stored = json.loads(json.dumps(schedule.serialize()))
    assert stored == FULL
    assert CronSchedule.deserialize({**stored, "later": 1}) == schedule
    assert CronSchedule.deserialize({"expression": "@daily"}) == CronSchedule("@daily")
    assert copy.deepcopy(schedule) == schedule
    assert hash(CronSchedule(**FULL)) == hash(schedule)


@pytest.mark.parametrize("zone", [pendulum.timezone("Europe/Berlin"), UTC])
def test_zone_objects(zone: Any) -> None:
    """A zone object stands for its name."""
    assert CronSchedule("@daily", timezone=zone).serialize()["timezone"] == str(zone)


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timetable as a plugin registers it."""
    found = {"tickrelay_airflow.timetable.CronSchedule": CronSchedule}
    monkeypatch.setattr("airflow.plugins_manager.get_timetables_plugins", lambda: found)


@pytest.mark.usefixtures("_registered")
def test_airflow_stores_and_restores_it() -> None:
    """Airflow's serialisation of a whole DAG keeps the schedule and its words."""
    schedule = CronSchedule(**FULL)
    assert decode_timetable(encoders.encode_timetable(schedule)) == schedule
    with DAG("nightly", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        pass
    restored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert restored.timetable == schedule
    assert restored.timetable.description == schedule.description


def test_unregistered_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the plugin Airflow says that the timetable is not registered."""
    monkeypatch.setattr("airflow.plugins_manager.get_timetables_plugins", dict)
    with pytest.raises(helpers.TimetableNotRegistered):
        encoders.encode_timetable(CronSchedule("@daily"))


@pytest.mark.parametrize("expression", ["30 2 * * *", "30 1 * * *", "*/20 * * * *", "@every 50m"])
@pytest.mark.parametrize("change", ["2026-03-08T07:00", "2026-11-01T06:00"])
def test_walking_through_clock_changes(expression: str, change: str) -> None:
    """Run after run through a clock change each tick comes exactly once, as the evaluator has it."""
    schedule = CronSchedule(expression, timezone="America/New_York", gap="shift", overlap="both")
    begin, end = at(change) - timedelta(days=2), at(change) + timedelta(days=2)
    expected = list(schedule.cron.between(begin, end))
    restriction, last, found = TimeRestriction(begin, end - timedelta(seconds=1), True), None, []
    while info := schedule.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        last = info.data_interval
        found.append(info.run_after)
    assert found == expected
