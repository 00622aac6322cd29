# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""An expression in words, for people who read schedules in a user interface."""

from __future__ import annotations

import logging
import re
from functools import lru_cache

from tickrelay_airflow.cron.errors import CronError
from tickrelay_airflow.cron.every import duration
from tickrelay_airflow.cron.parse import Dialect, Texts, parse, split

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))

_SPECIAL = r"(?:#|\dW\b|LW?\b)"
_MISREAD = re.compile(rf"L-\d+W|{_SPECIAL}\S*,|,\S*{_SPECIAL}", re.ASCII | re.IGNORECASE)
"""Day fields that cron-descriptor puts into wrong words: L-2W, and lists with special items."""

log = logging.getLogger(__name__)


@lru_cache(maxsize=1024)
def describe(expression: str, *, dialect: Dialect | None = None, seed: str = "") -> str:
    """Say in English when a schedule ticks, such as "At 09:30, Monday through Friday".

    The words come from cron-descriptor. Never raises: an expression that is invalid, or that has no words,
    is returned as it is.
    """
    try:
        period = duration(expression)
        if period is not None:
            return _every(period)
        parse(expression, dialect, seed)
        return _sentence(split(expression, dialect, seed))
    except CronError:
        return expression
    except Exception:  # another library's words are never worth a schedule
        log.debug("No words for the cron expression %r", expression, exc_info=True)
        return expression


def _every(period: int) -> str:
    parts = []
    for name, length in _UNITS:
        amount, period = divmod(period, length)
        if amount:
            parts.append(f"{amount} {name}" + ("s" if amount > 1 else ""))
    return "Every " + " ".join(parts)


def _sentence(texts: Texts) -> str:
    if _MISREAD.search(f"{texts.day} {texts.weekday}"):
        raise CronError("no words")
    if "*" in {texts.day, texts.weekday}:
        return _words(texts)
    # cron-descriptor decides for itself whether two day fields mean "and" or "or".
    joint = "or" if texts.either_day else "and"
    return f"{_words(texts._replace(weekday='*'))} ({joint}) {_words(texts._replace(day='*'))}"


def _words(texts: Texts) -> str:
    from cron_descriptor import (  # type: ignore[import-untyped]
        CasingTypeEnum,
        ExpressionDescriptor,
        Options,
    )

    options = Options(
        casing_type=CasingTypeEnum.Sentence,
        day_of_week_start_index_zero=texts.dialect == "unix",
        use_24hour_time_format=True,
        locale_code="en_US",
    )
    return str(ExpressionDescriptor(_for_descriptor(texts), options).get_description())


def _for_descriptor(texts: Texts) -> str:
    fields = [texts.minute, texts.hour, texts.day, texts.month, texts.weekday]
    if texts.second != "0" or texts.year != "*":
        fields.insert(0, texts.second)
    if texts.year != "*":
        fields.append(texts.year)
    return " ".join(fields)
