# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How the pages write instants and numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


def instant(at: float | None) -> str:
    """Unix seconds as `2026-11-23 19:05:32.123 UTC`."""
    if at is None:
        return "\u2013"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def count(number: int | None) -> str:
    """A number with thousands apart; a dash where it isn't known."""
    return "\u2013" if number is None else f"{number:,}".replace(",", "\u202f")


def moment(at: datetime | None) -> str:
    """An aware datetime as `2026-11-23 19:05:32 UTC`."""
    return "\u2013" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ahead(at: datetime, now: datetime) -> str:
    """How far it is from `now` to a later instant: `in 40 s`, `in 12 min`, `in 3 h`, `in 9 d`."""
    seconds = max(0, round((at - now).total_seconds()))
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), (1, "s"))
    return f"in {seconds // size} {unit}"


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))

FILTERS: dict[str, Callable[..., str]] = {
    "instant": instant,
    "count": count,
    "moment": moment,
    "ahead": ahead,
}
"""For the templates."""
