# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From the text of an expression to a plan: presets, field count, dialect, values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from tickrelay_airflow.cron.calendar import Calendar, open_months
from tickrelay_airflow.cron.clock import Clock
from tickrelay_airflow.cron.days import Days, month_days, weekdays
from tickrelay_airflow.cron.errors import CronError, malformed, shorten
from tickrelay_airflow.cron.fields import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    QUARTZ_WEEKDAY,
    SECOND,
    UNIX_WEEKDAY,
    YEAR,
    Field,
    values,
)
from tickrelay_airflow.cron.hashing import resolve

Dialect = Literal["unix", "quartz"]

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Fixed schedules by name; always read as Unix."""

_UNIX_FIELDS, _WITH_SECONDS, _WITH_YEAR = 5, 6, 7


class Texts(NamedTuple):
    """The seven fields as text, complete and with every ``H`` and ``?`` replaced by plain cron."""

    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    year: str
    dialect: Dialect
    either_day: bool
    """Whether a day may match either day field (Unix, both restricted) instead of having to match both."""
    hourly: bool
    """Whether the hour field goes through the day at an even step (``*``, ``*/2``, ``0/2``, ``H/6``)."""


@dataclass(frozen=True)
class Plan:
    """A parsed expression: the days and the times of day it names, and whether it goes on hour by hour."""

    calendar: Calendar
    clock: Clock
    hourly: bool


@lru_cache(maxsize=4096)
def parse(expression: str, dialect: Dialect | None = None, seed: str = "") -> Plan:
    """Parse an expression other than ``@every``.

    Raises:
        CronError: names the field, its text, what is allowed, and what to write.
    """
    texts = split(expression, dialect, seed)
    hours = values(HOUR, texts.hour)
    spec = weekday_spec(texts.dialect)
    days = Days(month_days(texts.day), weekdays(spec, texts.weekday), texts.either_day)
    years = None if texts.year == "*" else values(YEAR, texts.year)
    return Plan(
        Calendar(days, open_months(values(MONTH, texts.month), years)),
        Clock(hours, values(MINUTE, texts.minute), values(SECOND, texts.second)),
        texts.hourly or len(hours) == HOUR.size,
    )


def split(expression: str, dialect: Dialect | None, seed: str) -> Texts:
    """Split an expression into its fields, choose the dialect, and replace presets, ``H`` and ``?``.

    Raises:
        CronError: unknown preset or dialect, a wrong number of fields, or a misplaced ``?`` or ``H``.
    """
    fields = _fields(expression)
    chosen = _dialect(fields, dialect)
    second, minute, hour, day, month, weekday, year = _complete(fields)
    texts = (
        _plain(SECOND, second, seed),
        _plain(MINUTE, minute, seed),
        _plain(HOUR, hour, seed),
        _plain(DAY, day, seed),
        _plain(MONTH, month, seed),
        _plain(weekday_spec(chosen), weekday, seed),
        _plain(YEAR, year, seed),
    )
    return Texts(*texts, chosen, chosen == "unix" and _restricted(day, weekday), _steps_through(hour))


def weekday_spec(dialect: Dialect) -> Field:
    """The weekday numbering of a dialect: 0 or 7 is Sunday in Unix, 1 in Quartz."""
    return QUARTZ_WEEKDAY if dialect == "quartz" else UNIX_WEEKDAY


def _fields(expression: str) -> list[str]:
    text = expression.strip()
    if text.startswith("@"):
        preset = PRESETS.get(text.lower())
        if preset is None:
            raise malformed("expression", text, f"is no preset; write @every 90s or {', '.join(PRESETS)}")
        return preset.split()
    fields = text.split()
    if not _UNIX_FIELDS <= len(fields) <= _WITH_YEAR:
        raise CronError(
            f"expression: '{shorten(text)}' has {len(fields)} fields; write 5 (minute hour "
            "day-of-month month day-of-week), 6 with the second first, or 7 with a year last"
        )
    return fields


def _dialect(fields: list[str], dialect: Dialect | None) -> Dialect:
    if dialect is None:
        return "quartz" if len(fields) > _UNIX_FIELDS or "?" in fields else "unix"
    if dialect not in get_args(Dialect):
        raise malformed("dialect", str(dialect), "is not known; write unix or quartz")
    return dialect


def _complete(fields: list[str]) -> list[str]:
    if len(fields) == _UNIX_FIELDS:
        fields = ["0", *fields]
    return fields if len(fields) == _WITH_YEAR else [*fields, "*"]


def _plain(spec: Field, text: str, seed: str) -> str:
    if text != "?":
        return resolve(spec, text, seed)
    if spec.name not in {DAY.name, UNIX_WEEKDAY.name}:
        raise malformed(spec.name, text, f"belongs in a day field only; write * or {spec.allowed}")
    return "*"


def _restricted(*texts: str) -> bool:
    """Vixie's rule: a day field restricts unless its text begins with a star."""
    return not any(text.startswith(("*", "?")) for text in texts)


def _steps_through(hour: str) -> bool:
    return hour.startswith(("*", "0/", "H/", "h/"))
