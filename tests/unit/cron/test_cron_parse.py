# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What an expression may contain, what it means, and what is said about a bad one."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any

import pytest

from tickrelay_airflow.cron import Cron, CronError
from tickrelay_messaging.errors import ConfigurationError

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def first(expression: str, count: int = 4, **options: Any) -> list[str]:
    """The first ticks from an instant on, as short text."""
    schedule = Cron(expression, **options)
    ticks = schedule.between(NEW_YEAR, datetime(2200, 1, 2, tzinfo=UTC))
    return [f"{tick:%y-%m-%d %H:%M:%S}" for tick in islice(ticks, count)]


def days(expression: str, count: int = 4, **options: Any) -> list[str]:
    """The dates of the first ticks of 2026."""
    return [tick[3:8] for tick in first(expression, count, **options)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("61 * * * *", "minute: '61' is outside 0-59"),
        ("* 24 * * *", "hour: '24' is outside 0-23"),
        ("* * 0 * *", "day-of-month: '0' is outside 1-31"),
        ("* * * 13 *", "month: '13' is outside 1-12 or JAN-DEC"),
        ("* * * * 8", "day-of-week: '8' is outside 0-7 or SUN-SAT"),
        ("* * * ? * 0", "day-of-week: '0' is outside 1-7 or SUN-SAT"),
        ("* * * * ? 0 0", "month"),
        ("60 * * * * ?", "second: '60' is outside 0-59"),
        ("0 0 0 ? * 0", "day-of-week: '0' is outside 1-7 or SUN-SAT"),
        ("0 0 0 1 1 ? 1969", "year: '1969' is outside 1970-2199"),
        ("0 0 0 1 1 ? 2030-2028", "year: '2030-2028' runs backwards"),
        ("* * * FOO *", "month: 'FOO' is no number or name"),
        ("* * * * MONDAY", "day-of-week: 'MONDAY' is no number or name"),
        ("1,,2 * * * *", "minute: '1,,2' has an empty item"),
        ("*/0 * * * *", "minute: '*/0' has step '0' outside 1-60"),
        ("*/90 * * * *", "@every 90m"),
        ("*-5 * * * *", "minute: '*-5' is not a value, range, list or step"),
        ("1-2-3 * * * *", "minute: '1-2-3' is not a value, range, list or step"),
        ("-1 * * * *", "minute: '-1' is not a value, range, list or step"),
        ("1.5 * * * *", "minute: '1.5' is not a value"),
        ("? * * * *", "minute: '?' belongs in a day field only"),
        ("* * * * *#6", "day-of-week"),
        ("* * * * 1#6", "day-of-week: '1#6' is outside #1 to #5"),
        ("* * L-31 * *", "day-of-month: 'L-31' is outside L-0 to L-30"),
        ("* * 32W * *", "day-of-month: '32' is outside 1-31"),
        ("* * * * L", "day-of-week: 'L' needs a weekday before it"),
        ("H(9-3) * * * *", "minute: 'H(9-3)' runs backwards"),
        ("H/61 * * * *", "minute: 'H/61' has a step outside 1-60"),
        ("0 0 0 1 1 ? H", "year: 'H' is not possible here"),
        ("* * *", "has 3 fields; write 5"),
        ("* * * * * * * *", "has 8 fields; write 5"),
        ("", "has 0 fields; write 5"),
        ("@reboot", "expression: '@reboot' is no preset"),
        ("@every", "@every: '' is no duration; write one like 90s"),
        ("@every 1d", "@every: '1d' is no duration"),
        ("@every 500ms", "is not a whole number of seconds"),
        ("@every 0s", "is not a whole number of seconds"),
        ("@every 9000h", "from 1s to 8784h"),
        ("\u0663 * * * *", "minute: '\u0663' is not a value"),
        ("9999999999999999999999 * * * *", "is outside 0-59"),
        ("a\x1bb * * * *", r"minute: 'a\x1bb'"),
    ],
)
def test_bad_expressions_are_named(expression: str, expected: str) -> None:
    """An error names field and text, and the allowed range or what to write; it fits on one line."""
    with pytest.raises(CronError) as caught:
        Cron(expression)
    message = str(caught.value)
    assert expected in message, message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone: 'Mars/Olympus' is no known time zone"),
        ({"timezone": "localtime"}, "timezone: 'localtime' is no known time zone"),
        ({"timezone": "../etc/passwd"}, "is no known time zone"),
        ({"timezone": "A" * 5000}, "is no known time zone"),
        ({"timezone": None}, "timezone: 'None' is not text"),
        ({"gap": "move"}, "gap: 'move' is not known; write skip or shift"),
        ({"overlap": "second"}, "overlap: 'second' is not known; write first or both"),
        ({"dialect": "spring"}, "dialect: 'spring' is not known; write unix or quartz"),
    ],
)
def test_bad_options_are_named(options: dict[str, str], expected: str) -> None:
    """A bad zone or policy is refused when the schedule is built, with the choices."""
    with pytest.raises(CronError) as caught:
        Cron("* * * * *", **options)  # type: ignore[arg-type]
    assert expected in str(caught.value)


def test_errors_are_configuration_errors() -> None:
    """A bad schedule is the caller's fault, and a ValueError for those who know nothing of us."""
    assert issubclass(CronError, ConfigurationError)
    assert issubclass(CronError, ValueError)
    assert str(pickle.loads(pickle.dumps(CronError("why")))) == "why"


@pytest.mark.parametrize(
    ("preset", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
@pytest.mark.parametrize("dialect", [None, "unix"])
def test_presets_stand_for_fields(preset: str, fields: str, dialect: str | None) -> None:
    """A preset is another way to write five fields."""
    assert first(fields) == first(preset, dialect=dialect)


def test_six_fields_begin_with_the_second() -> None:
    """The extra field is the second and comes first; a seventh is the year and comes last."""
    assert first("*/20 * * * * *", 2) == ["26-01-01 00:00:00", "26-01-01 00:00:20"]
    assert first("0 0 12 * * *", 2) == ["26-01-01 12:00:00", "26-01-02 12:00:00"]
    assert first("5 0 12 1 1 ? 2028,2030-2031") == [f"{year}-01-01 12:00:05" for year in (28, 30, 31)]


def test_seconds_or_question_mark_mean_quartz() -> None:
    """Without a dialect, weekday 1 is Monday in five plain fields, and Sunday with a second or a `?`."""
    assert days("0 0 * * 1", 1) == ["01-05"]
    assert days("0 0 ? * 1", 1) == ["01-04"]
    assert days("0 0 0 * * 1", 1) == ["01-04"]
    assert days("0 0 0 * * 1", 1, dialect="unix") == ["01-05"]
    assert days("0 0 * * 1", 1, dialect="quartz") == ["01-04"]


@pytest.mark.parametrize(
    ("dialect", "numbers"), [("unix", "0123456"), ("unix", "7123456"), ("quartz", "1234567")]
)
def test_weekday_numbers(dialect: str, numbers: str) -> None:
    """Unix counts 0 or 7 = Sunday to 6 = Saturday, Quartz 1 = Sunday to 7 = Saturday; names are the same."""
    names = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
    expected = [days(f"0 0 * * {name}", dialect=dialect) for name in names]
    assert expected == [days(f"0 0 * * {number}", dialect=dialect) for number in numbers]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 * * FRI-MON", ["01-02", "01-03", "01-04", "01-05", "01-09"]),
        ("0 0 * * fri-sun", ["01-02", "01-03", "01-04", "01-09", "01-10"]),
        ("0 0 * * 5-7", ["01-02", "01-03", "01-04", "01-09", "01-10"]),
        ("0 0 * * 7-2", ["01-04", "01-05", "01-06", "01-11", "01-12"]),
        ("0 0 * * 6/1", ["01-03", "01-10", "01-17", "01-24", "01-31"]),
        ("0 0 ? * SAT-MON", ["01-03", "01-04", "01-05", "01-10", "01-11"]),
        ("0 0 30-2 * *", ["01-01", "01-02", "01-30", "01-31", "02-01"]),
        ("0 0 1 nov-Feb *", ["01-01", "02-01", "11-01", "12-01", "01-01"]),
        ("0 0 1 */4,12 *", ["01-01", "05-01", "09-01", "12-01", "01-01"]),
        ("0 0 28/2 * *", ["01-28", "01-30", "02-28", "03-28", "03-30"]),
    ],
)
def test_ranges_lists_and_steps_of_days(expression: str, expected: list[str]) -> None:
    """Ranges may wrap around the end of a field; names work in any case; `a/n` runs to the end."""
    assert days(expression, 5) == expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ("22-2", [0, 1, 2, 22, 23]),
        ("22-4/2", [0, 2, 4, 22]),
        ("20/2", [20, 22]),
        ("5-9/3", [5, 8]),
        ("*/7", [0, 7, 14, 21]),
        ("59/15", "minute"),
    ],
)
def test_ranges_and_steps_of_hours(hours: str, expected: object) -> None:
    """A step counts from the first value of its range, also through midnight, and stays inside the field."""
    if expected == "minute":
        assert first("59/15 * * * *", 2) == ["26-01-01 00:59:00", "26-01-01 01:59:00"]
        return
    ticks = Cron(f"0 {hours} * * *").between(NEW_YEAR, datetime(2026, 1, 2, tzinfo=UTC))
    assert [tick.hour for tick in ticks] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["01-31", "02-28", "03-31", "04-30"]),
        ("0 0 l-3 * *", ["01-28", "02-25", "03-28", "04-27"]),
        ("0 0 L-30 * *", ["01-01", "03-01", "05-01", "07-01"]),
        ("0 0 LW * *", ["01-30", "02-27", "03-31", "04-30"]),
        ("0 0 L-1W * *", ["01-30", "02-27", "03-30", "04-29"]),
        ("0 0 15W * *", ["01-15", "02-16", "03-16", "04-15"]),
        ("0 0 1W * *", ["01-01", "02-02", "03-02", "04-01"]),
        ("0 0 31W * *", ["01-30", "03-31", "05-29", "07-31"]),
        ("0 0 1,15W,L * *", ["01-01", "01-15", "01-31", "02-01"]),
        ("0 0 * * 5L", ["01-30", "02-27", "03-27", "04-24"]),
        ("0 0 ? * 6L", ["01-30", "02-27", "03-27", "04-24"]),
        ("0 0 * * friL", ["01-30", "02-27", "03-27", "04-24"]),
        ("0 0 ? * L", ["01-03", "01-10", "01-17", "01-24"]),
        ("0 0 * * 1#1", ["01-05", "02-02", "03-02", "04-06"]),
        ("0 0 ? * 2#1", ["01-05", "02-02", "03-02", "04-06"]),
        ("0 0 * * FRI#5", ["01-30", "05-29", "07-31", "10-30"]),
        ("0 0 * * MON#1,FRIL", ["01-05", "01-30", "02-02", "02-27"]),
    ],
)
def test_special_days(expression: str, expected: list[str]) -> None:
    """L, L-n, LW, L-nW, nW, nL and # find their day in each month, and skip months without it."""
    assert days(expression) == expected


@pytest.mark.parametrize(
    ("expression", "dialect", "expected"),
    [
        ("0 0 13 * FRI", "unix", ["01-02", "01-09", "01-13", "01-16"]),
        ("0 0 13 * FRI", "quartz", ["02-13", "03-13", "11-13", "08-13"]),
        ("0 0 13 * ?", "quartz", ["01-13", "02-13", "03-13", "04-13"]),
        ("0 0 */2 * MON", "unix", ["01-05", "01-19", "02-09", "02-23"]),
        ("0 0 1-31/2 * MON", "unix", ["01-01", "01-03", "01-05", "01-07"]),
        ("0 0 13 * */2", "unix", ["01-13", "06-13", "08-13", "09-13"]),
        ("0 0 L * FRI", "unix", ["01-02", "01-09", "01-16", "01-23"]),
        ("0 0 ? * ?", "quartz", ["01-01", "01-02", "01-03", "01-04"]),
    ],
)
def test_both_day_fields(expression: str, dialect: str, expected: list[str]) -> None:
    """Unix: either day field is enough, unless one begins with a star; Quartz: a day must satisfy both."""
    assert days(expression, dialect=dialect) == expected


def test_hash_is_pinned() -> None:
    """H depends on seed and field only; changing these values would move people's schedules."""
    assert first("H H * * *", 1, seed="billing") == ["26-01-01 20:03:00"]
    assert first("H H * * *", 1, seed="reports") == ["26-01-01 17:39:00"]


def test_hash_stays_in_range() -> None:
    """H(a-b) stays within its bounds, H/n keeps its step, and a hashed day exists in every month."""
    for seed in map(str, range(50)):
        minutes = [int(tick[12:14]) for tick in first("H(10-19) * * * *", seed=seed)]
        assert all(10 <= minute <= 19 for minute in minutes)
        assert [later - earlier for earlier, later in pairwise(minutes)] == [0, 0, 0]
        steps = [int(tick[12:14]) for tick in first("H/15 * * * *", seed=seed)]
        assert [step - steps[0] for step in steps] == [0, 15, 30, 45]
        assert len({tick[3:5] for tick in first("0 0 H * *", 12, seed=seed)}) == 12


def test_hash_spreads() -> None:
    """A hundred seeds do not gather on few minutes."""
    chosen = {first("H 0 * * *", 1, seed=f"dag_{number}")[0] for number in range(100)}
    assert len(chosen) > 35


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("1500ms500ms", 2), ("8784h", 366 * 86_400)],
)
def test_every_is_aligned_to_the_epoch(text: str, seconds: int) -> None:
    """@every ticks at the multiples of its period since 1970, whatever the zone and the start."""
    schedule = Cron(f"@every {text}", timezone="America/New_York")
    stamps = [
        int(tick.timestamp())
        for tick in islice(schedule.between(NEW_YEAR, datetime.max.replace(tzinfo=UTC)), 3)
    ]
    start = -(-int(NEW_YEAR.timestamp()) // seconds) * seconds
    assert stamps == [start, start + seconds, start + 2 * seconds]
    assert schedule.previous(NEW_YEAR) == datetime.fromtimestamp(start - seconds, UTC) or start == seconds
