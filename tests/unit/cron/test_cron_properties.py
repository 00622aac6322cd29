# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Rules that hold for every expression: against the definition, and against croniter and cronsim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tickrelay_airflow.cron import Cron, CronError

EPOCH, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ZONES = (
    "UTC",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Atlantic/Azores",
    "Antarctica/Troll",
    "Pacific/Chatham",
    "Europe/Dublin",
    "Pacific/Apia",
)
CHANGES = {
    # Two clock changes of each zone, in UTC.
    "UTC": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-10-03T15:30", "2026-04-04T15:00"),
    "America/Sao_Paulo": ("2018-11-04T03:00", "2018-02-18T02:00"),
    "Africa/Cairo": ("2026-04-23T22:00", "2026-10-29T21:00"),
    "Atlantic/Azores": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "Antarctica/Troll": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "Pacific/Chatham": ("2026-09-26T14:00", "2026-04-04T14:00"),
    "Europe/Dublin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "Pacific/Apia": ("2011-12-30T10:00", "2012-03-31T14:00"),
}


@st.composite
def plain_field(draw: st.DrawFn, low: int, high: int, *, star: bool = True) -> str:
    """A field that all cron implementations read alike; croniter makes all values of `2-2`."""
    value = st.integers(low, high)
    if star and draw(st.booleans()):
        return draw(st.sampled_from(["*", "*", f"*/{draw(st.integers(1, (high - low + 1) // 2))}"]))
    first, last = sorted(draw(st.lists(value, min_size=2, max_size=2, unique=True)))
    parts = [str(draw(value)), f"{first}-{last}", f"{first}-{last}/{draw(st.integers(1, last - first))}"]
    return ",".join(draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3, unique=True)))


@st.composite
def unix(draw: st.DrawFn) -> str:
    """Five fields; day of month and day of week are both restricted only without stars."""
    day, weekday = draw(plain_field(1, 31)), draw(plain_field(0, 6))
    if day != "*" and weekday != "*":
        day, weekday = draw(plain_field(1, 31, star=False)), draw(plain_field(0, 6, star=False))
    minute, hour, month = draw(plain_field(0, 59)), draw(plain_field(0, 23)), draw(plain_field(1, 12))
    return f"{minute} {hour} {day} {month} {weekday}"


@st.composite
def quartz(draw: st.DrawFn) -> str:
    """Six fields, seconds first, with the special items of the day fields."""
    day = st.sampled_from(["?", "*", "L", "L-3", "LW", "15W", "1W", "31W", "1-7", "13", "L-2W,10"])
    weekday = st.sampled_from(["?", "*", "MON-FRI", "6L", "FRI#3", "SAT-MON", "2", "SUN#5,4"])
    second, minute, hour = draw(plain_field(0, 59)), draw(plain_field(0, 59)), draw(plain_field(0, 23))
    return f"{second} {minute} {hour} {draw(day)} {draw(plain_field(1, 12))} {draw(weekday)}"


instants = st.datetimes(datetime(1970, 1, 2), datetime(2190, 1, 1), timezones=st.just(UTC))
# Well before our last year, 2199, after which the oracles go on.
seconds_of_time = st.datetimes(datetime(1970, 1, 2), datetime(2140, 1, 1), timezones=st.just(UTC)).map(
    lambda instant: instant.replace(microsecond=0)
)
gaps, overlaps = st.sampled_from(["skip", "shift"]), st.sampled_from(["first", "both"])
schedules = st.builds(
    Cron, st.one_of(unix(), quartz()), timezone=st.sampled_from(ZONES), gap=gaps, overlap=overlaps
)


@settings(max_examples=300, deadline=None)
@given(schedule=schedules, start=instants)
def test_ticks_rise_and_match(schedule: Cron, start: datetime) -> None:
    """Ticks are strictly increasing whole seconds in UTC, and each of them matches."""
    found = list(islice(schedule.between(start, END), 20))
    assert all(later > earlier for earlier, later in pairwise([start - MINUTE, *found]))
    assert [tick for tick in found if not schedule.matches(tick) or tick.microsecond] == []


@settings(max_examples=300, deadline=None)
@given(schedule=schedules, start=instants)
def test_previous_undoes_next(schedule: Cron, start: datetime) -> None:
    """No tick lies between an instant and its next tick, seen from either side."""
    tick = schedule.next(start)
    assume(tick is not None)
    assert tick is not None
    before = schedule.previous(tick)
    assert before is None or before <= start
    assert before is None or schedule.next(before) == tick
    after = schedule.next(tick)
    assert after is None or schedule.previous(after) == tick


def by_definition(schedule: Cron, start: datetime, minutes: int) -> list[datetime]:
    """All ticks of a window, from the rule itself: look at every minute, and at every wall time left out."""
    zone, wall = ZoneInfo(schedule.timezone), Cron(schedule.expression)
    hour = schedule.expression.split()[1]
    hourly = hour.startswith("*") or all(wall.matches(_on_the_hour(wall, number)) for number in range(24))
    found = set()
    for instant in (start + number * MINUTE for number in range(minutes)):
        local = instant.astimezone(zone)
        repeated = local.fold and not hourly and schedule.overlap == "first"
        if wall.matches(local.replace(tzinfo=UTC)) and not repeated:
            found.add(instant)
    if schedule.gap == "shift":
        found |= set(_moved(wall, zone, start, minutes))
    return sorted(found)


def _on_the_hour(wall: Cron, hour: int) -> datetime:
    """A tick of the schedule in an hour, if it has one; otherwise an instant that does not match."""
    tick = wall.next(datetime(2026, 1, 1, tzinfo=UTC))
    assert tick is not None
    return tick.replace(hour=hour)


def _moved(wall: Cron, zone: ZoneInfo, start: datetime, minutes: int) -> list[datetime]:
    """The instants of nonexistent wall times, read in the offset before the gap (PEP 495, fold=0)."""
    first = start.replace(tzinfo=None) - timedelta(days=2)
    found = []
    for number in range(minutes + 4 * 24 * 60):
        local = first + number * MINUTE
        if not wall.matches(local.replace(tzinfo=UTC)):
            continue
        instant = local.replace(tzinfo=zone).astimezone(UTC)
        missing = instant.astimezone(zone).replace(tzinfo=None) != local
        if missing and start <= instant < start + minutes * MINUTE:
            found.append(instant)
    return found


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    expression=unix(),
    zone=st.sampled_from(ZONES),
    gap=gaps,
    overlap=overlaps,
    begin=st.integers(-300, 60),
)
def test_around_clock_changes_by_definition(  # noqa: PLR0917 - what hypothesis draws
    data: st.DataObject, expression: str, zone: str, gap: str, overlap: str, begin: int
) -> None:
    """Around a clock change the ticks are exactly those of the rule, minute by minute."""
    every_day = " ".join([*expression.split()[:2], "*", "*", "*"])
    schedule = Cron(every_day, timezone=zone, gap=gap, overlap=overlap)  # type: ignore[arg-type]
    change = datetime.fromisoformat(data.draw(st.sampled_from(CHANGES[zone])) + "Z")
    start, minutes = change + begin * MINUTE, 400
    found = list(schedule.between(start, start + minutes * MINUTE))
    assert by_definition(schedule, start, minutes) == found


@settings(max_examples=200, deadline=None)
@given(expression=unix(), start=seconds_of_time)
def test_agrees_with_croniter(expression: str, start: datetime) -> None:
    """In UTC, plain five-field expressions mean what croniter takes them for."""
    theirs = croniter(expression, start, max_years_between_matches=50)
    try:
        expected = [theirs.get_next(datetime) for _ in range(5)]
    except CroniterBadDateError:  # such as 30 February
        expected = []
    assert list(islice(_after(Cron(expression), start), 5)) == expected


@settings(max_examples=200, deadline=None)
@given(
    expression=unix(),
    start=seconds_of_time,
    day=st.sampled_from(["*", "*/3", "*/2,5", "L", "LW", "15"]),
    weekday=st.sampled_from(["*", "*/2", "1", "5L", "FRI#3", "MON-WED"]),
)
def test_agrees_with_cronsim(expression: str, start: datetime, day: str, weekday: str) -> None:
    """In UTC cronsim (Debian's rules) agrees, also on the star rule of the day fields, on L, LW, nL and #."""
    minute, hour, _, month, _ = expression.split()
    expression = f"{minute} {hour} {day} {month} {weekday}"
    assert list(islice(_after(Cron(expression), start), 5)) == list(islice(CronSim(expression, start), 5))


def _after(schedule: Cron, start: datetime) -> list[datetime]:
    found: list[datetime] = []
    while len(found) < 5 and (tick := schedule.next(found[-1] if found else start)) is not None:
        found.append(tick)
    return found


def outcome(text: str) -> str:
    """What comes of an expression: its first tick, or the message of its error."""
    try:
        return str(Cron(text).next(EPOCH))
    except CronError as error:
        return str(error)


@settings(max_examples=500, deadline=None)
@given(text=st.text(alphabet="0159*/,-LW#?H() @MONFRI", max_size=24) | st.text(max_size=20))
def test_any_text_is_a_schedule_or_a_named_error(text: str) -> None:
    """Whatever is written, the constructor answers with a schedule or with a CronError of one line."""
    assert outcome(text).isprintable()


@settings(max_examples=100, deadline=None)
@given(
    fields=st.lists(
        st.sampled_from(["*", "L", "5W", "H", "H/7", "FRI-MON", "1#2", "9L", "?"]), min_size=5, max_size=7
    )
)
def test_any_mix_of_items_ends(fields: list[str]) -> None:
    """Any mix of special items is refused by name or evaluated to an end."""
    try:
        schedule = Cron(" ".join(fields))
    except CronError:
        return
    assert schedule.next(EPOCH) is None or schedule.previous(datetime(2200, 1, 2, tzinfo=UTC)) is not None
