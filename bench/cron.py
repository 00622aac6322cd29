# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How many next ticks a second ours, croniter and cronsim find, measured turn by turn in one run.

Twice: walking on with one object, where parsing is over and done, and asking anew with a new object for each
tick, as a scheduler does that restores its schedules. Croniter gets the seconds last, where it wants them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped]
from cronsim import CronSim

from tickrelay_airflow.cron import Cron

Step = Callable[[datetime], "datetime | None"]

START = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 3
SECONDS = 0.15
LAST_YEAR = 2190
CASES = (
    # expression, zone, the same for croniter (second last) and cronsim
    ("*/5 * * * *", "UTC", "*/5 * * * *", "*/5 * * * *"),
    ("*/5 * * * *", "America/New_York", "*/5 * * * *", "*/5 * * * *"),
    ("0 9 * * MON-FRI", "America/New_York", "0 9 * * MON-FRI", "0 9 * * MON-FRI"),
    ("30 2 1 * *", "Europe/Berlin", "30 2 1 * *", "30 2 1 * *"),
    ("*/10 * * * * *", "UTC", "* * * * * */10", "*/10 * * * * *"),
    ("0 0 L * *", "UTC", "0 0 L * *", "0 0 L * *"),
    ("0 0 12 ? * 6#3", "America/New_York", "0 12 * * 5#3", "0 12 * * 5#3"),
    ("0 0 29 2 *", "UTC", "0 0 29 2 *", "0 0 29 2 *"),
)
WORST = (
    ("0 0 0 29 2 MON", "Europe/Paris"),
    ("0 0 30 2 *", "Africa/Cairo"),
    ("0 0 0 31 4,6,9,11 ?", "Asia/Gaza"),
    ("0 0 0 31 * MON#1", "Asia/Tehran"),
    ("0 0 0 29 2 ? 2100", "UTC"),
)


def main(*, short: bool = False) -> None:  # noqa: ARG001 - quick enough as it is
    """Print all tables."""
    for title, contest in (("walking with one object", walking), ("a new object for each tick", anew)):
        print(f"\n{title:36} {'ours/s':>9} {'croniter/s':>11} {'cronsim/s':>10}  ours is")
        for expression, zone, for_croniter, for_cronsim in CASES:
            ours, theirs, others = race(*contest(expression, for_croniter, for_cronsim, ZoneInfo(zone)))
            print(f"{expression:18} {zone:17} {ours:9,.0f} {theirs:11,.0f} {others:10,.0f}", end="  ")
            print(f"{ours / theirs:.1f}x croniter, {ours / others:.1f}x cronsim")
    print(
        "\nworst case: build, and two searches from 1970 on, in a zone not used before, processor's ms (goal 10)"
    )
    for expression, zone in WORST:
        print(f"{expression:22} {zone:13} {worst(expression, zone):6.2f}")


def walking(expression: str, for_croniter: str, for_cronsim: str, zone: ZoneInfo) -> tuple[Step, ...]:
    """Each contestant keeps its object from tick to tick."""
    start = START.astimezone(zone)
    return (
        Cron(expression, timezone=zone.key).next,
        keeping(lambda: croniter(for_croniter, start, ret_type=datetime).get_next),
        keeping(lambda: CronSim(for_cronsim, start).__next__),
    )


def keeping(make: Callable[[], Callable[[], datetime]]) -> Step:
    """A step that goes on with one object, and begins anew where the walk does."""
    held: list[Callable[[], datetime]] = []

    def step(tick: datetime) -> datetime:
        if tick is START:
            held[:] = [make()]
        return held[0]()

    return step


def anew(expression: str, for_croniter: str, for_cronsim: str, zone: ZoneInfo) -> tuple[Step, ...]:
    """Each contestant builds its object for every tick."""
    return (
        lambda tick: Cron(expression, timezone=zone.key).next(tick),
        lambda tick: croniter(for_croniter, tick.astimezone(zone)).get_next(datetime),
        lambda tick: next(CronSim(for_cronsim, tick.astimezone(zone))),
    )


def race(*steps: Step) -> list[float]:
    """The best rate of each contestant out of some rounds taken in turn."""
    rates = [0.0] * len(steps)
    for _ in range(ROUNDS):
        rates = [max(rate, measure(step)) for rate, step in zip(rates, steps, strict=True)]
    return rates


def measure(step: Step) -> float:
    """Ticks a second of one contestant."""
    tick, count, began = START, 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < SECONDS:
        for _ in range(20):
            found = step(tick)
            tick = START if found is None or found.year >= LAST_YEAR else found
        count += 20
    return count / spent


def worst(expression: str, zone: str) -> float:
    """Milliseconds of the processor to build a schedule and to find its first two ticks, or that there are none."""
    began = time.process_time()
    schedule = Cron(expression, timezone=zone)
    tick = schedule.next(datetime(1970, 1, 1, tzinfo=UTC))
    if tick is not None:
        schedule.next(tick)
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    main()
