# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Plain cron fields: numbers, names, ranges (also wrapping around), lists and steps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tickrelay_airflow.cron.errors import malformed, outside

FIRST_YEAR = 1970
LAST_YEAR = 2199

_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\w+))?", re.ASCII)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Field:
    """One position of an expression: its name in messages, its range and how many distinct values it has."""

    name: str
    low: int
    high: int
    size: int
    names: dict[str, int] = field(default_factory=dict)
    cyclic: bool = True

    @property
    def allowed(self) -> str:
        """The range as messages write it, such as ``0-59`` or ``1-12 or JAN-DEC``."""
        words = list(self.names)
        return f"{self.low}-{self.high}" + (f" or {words[0]}-{words[-1]}" if words else "")

    @property
    def top(self) -> int:
        """The highest distinct value: 6 in the Unix weekday field, where 7 is another word for 0."""
        return self.low + self.size - 1

    def wrap(self, value: int) -> int:
        """Bring a value counted beyond the end of the field back into it."""
        return self.low + (value - self.low) % self.size


def _names(words: tuple[str, ...], first: int) -> dict[str, int]:
    return {word: number for number, word in enumerate(words, first)}


SECOND = Field("second", 0, 59, 60)
MINUTE = Field("minute", 0, 59, 60)
HOUR = Field("hour", 0, 23, 24)
DAY = Field("day-of-month", 1, 31, 31)
MONTH = Field("month", 1, 12, 12, _names(_MONTHS, 1))
UNIX_WEEKDAY = Field("day-of-week", 0, 7, 7, _names(_WEEKDAYS, 0))
QUARTZ_WEEKDAY = Field("day-of-week", 1, 7, 7, _names(_WEEKDAYS, 1))
YEAR = Field("year", FIRST_YEAR, LAST_YEAR, LAST_YEAR - FIRST_YEAR + 1, cyclic=False)


def items(spec: Field, text: str) -> list[str]:
    """Split a list at its commas.

    Raises:
        CronError: an item is empty.
    """
    parts = text.split(",")
    if "" in parts:
        raise malformed(spec.name, text, "has an empty item; write values separated by single commas")
    return parts


def values(spec: Field, text: str) -> frozenset[int]:
    """All values that a plain field lets through.

    Raises:
        CronError: malformed or out of range; names the field, the text and the range.
    """
    return frozenset().union(*(item_values(spec, item) for item in items(spec, text)))


def item_values(spec: Field, item: str) -> frozenset[int]:
    """The values of one list item: ``*``, ``5``, ``MON``, ``FRI-MON``, ``*/15``, ``7/15`` or ``0-30/10``."""
    match = _ITEM.fullmatch(item)
    if match is None or (match["first"] == "*" and match["last"]):
        raise malformed(spec.name, item, f"is not a value, range, list or step; allowed is {spec.allowed}")
    step = _step(spec, item, match["step"])
    first, last = _bounds(spec, match["first"], match["last"], stepped=match["step"] is not None)
    return frozenset(spec.wrap(value) for value in range(first, last + 1, step))


def number(spec: Field, text: str) -> int:
    """One number or name of the field.

    Raises:
        CronError: neither, or out of range.
    """
    named = spec.names.get(text.upper())
    if named is not None:
        return named
    if not text.isdecimal():
        raise malformed(spec.name, text, f"is no number or name of this field; allowed is {spec.allowed}")
    if len(text) > len("2199") or not spec.low <= int(text) <= spec.high:
        raise outside(spec.name, text, spec.allowed)
    return int(text)


def _bounds(spec: Field, first: str, last: str | None, *, stepped: bool) -> tuple[int, int]:
    if first == "*":
        return spec.low, spec.top
    start = number(spec, first)
    if last is None:
        start = spec.wrap(start)
        return start, spec.top if stepped else start
    end = number(spec, last)
    if end >= start:
        return start, end
    if not spec.cyclic:
        raise malformed(spec.name, f"{first}-{last}", "runs backwards; write the earlier year first")
    return start, end + spec.size


def _step(spec: Field, item: str, text: str | None) -> int:
    if text is None:
        return 1
    if not text.isdecimal() or not 1 <= int(text[:4]) <= spec.size or len(text) > len("2199"):
        raise malformed(
            spec.name,
            item,
            f"has step '{text[:20]}' outside 1-{spec.size}; a longer period is written @every 90m",
        )
    return int(text)
