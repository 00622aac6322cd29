# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which days of a month match: days, weekdays, ``L``, ``W``, ``#``, and how the two day fields combine.

A month is only its first weekday and its length, 28 shapes in all, so each shape is worked out once.
Weekdays inside this module count from Monday = 0, as `datetime.date.weekday` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from tickrelay_airflow.cron.errors import malformed, outside
from tickrelay_airflow.cron.fields import DAY, QUARTZ_WEEKDAY, Field, item_values, items, number

_SATURDAY, _SUNDAY = 5, 6
_LAST_DAY = re.compile(r"L(?:-(?P<back>\d{1,4}))?(?P<work>W)?", re.ASCII)
_NEAREST = re.compile(r"(?P<day>\d{1,4})W", re.ASCII)
_LAST_WEEKDAY = re.compile(r"(?P<weekday>\w+)L", re.ASCII)
_NTH_WEEKDAY = re.compile(r"(?P<weekday>\w+)#(?P<nth>\w+)", re.ASCII)


class Shape(NamedTuple):
    """A month as far as days matter: the weekday of its first day and its number of days."""

    first_weekday: int
    length: int

    def weekday(self, day: int) -> int:
        """The weekday of a day of this month."""
        return (self.first_weekday + day - 1) % 7


Rule = Callable[[Shape], int]
"""Finds the one day that a special item means in a month; outside 1..length means none."""


@dataclass(frozen=True)
class DayField:
    """One day field: its plain values and the rules for its special items."""

    plain: frozenset[int]
    rules: tuple[Rule, ...]

    def special(self, shape: Shape) -> set[int]:
        """The days that the special items mean in such a month."""
        return {day for rule in self.rules if 1 <= (day := rule(shape)) <= shape.length}


@dataclass(frozen=True)
class Days:
    """Both day fields together; `either` unites them (Unix), otherwise a day must satisfy both."""

    month_days: DayField
    weekdays: DayField
    either: bool
    _known: dict[Shape, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, shape: Shape) -> tuple[int, ...]:
        """The matching days of a month of this shape, ascending."""
        known = self._known.get(shape)
        if known is None:
            known = self._known[shape] = self._work_out(shape)
        return known

    def _work_out(self, shape: Shape) -> tuple[int, ...]:
        every = range(1, shape.length + 1)
        by_date = {day for day in every if day in self.month_days.plain} | self.month_days.special(shape)
        by_name = {day for day in every if shape.weekday(day) in self.weekdays.plain}
        by_name |= self.weekdays.special(shape)
        return tuple(sorted(by_date | by_name if self.either else by_date & by_name))


def month_days(text: str) -> DayField:
    """Parse the day-of-month field.

    Raises:
        CronError: malformed or out of range.
    """
    plain: set[int] = set()
    rules: list[Rule] = []
    for item in items(DAY, text):
        rule = _month_day_rule(item)
        if rule is None:
            plain |= item_values(DAY, item)
        else:
            rules.append(rule)
    return DayField(frozenset(plain), tuple(rules))


def weekdays(spec: Field, text: str) -> DayField:
    """Parse the day-of-week field, in the numbering of `spec`.

    Raises:
        CronError: malformed or out of range.
    """
    plain: set[int] = set()
    rules: list[Rule] = []
    for item in (_lone_last(spec, item) for item in items(spec, text)):
        rule = _weekday_rule(spec, item)
        if rule is None:
            plain |= {_from_monday(spec, value) for value in item_values(spec, item)}
        else:
            rules.append(rule)
    return DayField(frozenset(plain), tuple(rules))


def _from_monday(spec: Field, value: int) -> int:
    return (value - spec.low + _SUNDAY) % 7


def _month_day_rule(item: str) -> Rule | None:
    if last := _LAST_DAY.fullmatch(item.upper()):
        back = int(last["back"] or 0)
        if back >= DAY.high:
            raise outside(DAY.name, item, f"L-0 to L-{DAY.high - 1}")
        return partial(_from_end, back, work=bool(last["work"]))
    if nearest := _NEAREST.fullmatch(item.upper()):
        return partial(_nearest, number(DAY, nearest["day"]))
    return None


def _weekday_rule(spec: Field, item: str) -> Rule | None:
    if nth := _NTH_WEEKDAY.fullmatch(item):
        if nth["nth"] not in {"1", "2", "3", "4", "5"}:
            raise outside(spec.name, item, "#1 to #5")
        return partial(_nth, _from_monday(spec, number(spec, nth["weekday"])), int(nth["nth"]))
    if last := _LAST_WEEKDAY.fullmatch(item.upper()):
        return partial(_last, _from_monday(spec, number(spec, last["weekday"])))
    return None


def _lone_last(spec: Field, item: str) -> str:
    """Quartz reads a lone L as Saturday, every week; elsewhere it is a slip for 5L, or for L as the day."""
    if item.upper() != "L":
        return item
    if spec is not QUARTZ_WEEKDAY:
        raise malformed(spec.name, item, "needs a weekday before it, such as 5L or FRIL")
    return "SAT"


def _from_end(back: int, shape: Shape, *, work: bool) -> int:
    day = shape.length - back
    return _nearest(day, shape) if work else day


def _nearest(day: int, shape: Shape) -> int:
    """The Monday-to-Friday day nearest to a day, never in another month; 0 if the month has no such day."""
    if not 1 <= day <= shape.length:
        return 0
    weekday = shape.weekday(day)
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < shape.length else day - 2
    return day


def _nth(weekday: int, nth: int, shape: Shape) -> int:
    return 1 + (weekday - shape.first_weekday) % 7 + 7 * (nth - 1)


def _last(weekday: int, shape: Shape) -> int:
    return shape.length - (shape.weekday(shape.length) - weekday) % 7
