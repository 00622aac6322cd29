# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""``@every 90s``: a fixed period on the line of real time, aligned to 1970-01-01 UTC.

Alignment makes it a pure function: two schedulers, or one before and after a restart, agree on every tick.
Time zone and daylight saving do not matter. Durations are written as in Go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from tickrelay_airflow.cron.errors import malformed
from tickrelay_airflow.cron.wallclock import FIRST_INSTANT, LAST_INSTANT

_UNITS = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
_PART = r"\d{1,9}(?:\.\d{1,9})?(?:ms|h|m|s)"
_DURATION = re.compile(rf"(?:{_PART}){{1,8}}", re.ASCII)
_PIECE = re.compile(r"(?P<amount>[\d.]+)(?P<unit>ms|h|m|s)", re.ASCII)
_LONGEST = 366 * 86_400


def duration(expression: str) -> int | None:
    """The period of an ``@every`` expression in seconds, or None for any other expression.

    Raises:
        CronError: not a duration, not whole seconds, or outside 1s to 8784h (366 days).
    """
    word, _, text = expression.strip().partition(" ")
    if word.lower() != "@every":
        return None
    text = text.strip()
    total = length("@every", text)
    if total.denominator != 1 or not 1 <= total <= _LONGEST:
        raise malformed("@every", text, "is not a whole number of seconds from 1s to 8784h (366 days)")
    return int(total)


def length(name: str, text: str) -> Fraction:
    """A duration written as in Go, in seconds.

    Raises:
        CronError: not a duration; begins with `name`.
    """
    if not _DURATION.fullmatch(text):
        raise malformed(name, text, "is no duration; write one like 90s, 5m or 1h30m")
    pieces = _PIECE.finditer(text)
    return sum((Fraction(piece["amount"]) * _UNITS[piece["unit"]] for piece in pieces), Fraction())


@dataclass(frozen=True)
class Period:
    """Ticks at every multiple of a period, as whole seconds since 1970-01-01 UTC."""

    seconds: int

    def first(self, at: int) -> int | None:
        """The earliest tick at or after an instant, from 1970 to 2199."""
        tick = -(-max(at, 0) // self.seconds) * self.seconds
        return tick if tick < LAST_INSTANT else None

    def last(self, at: int) -> int | None:
        """The latest tick at or before an instant, from 1970 to 2199."""
        tick = min(at, LAST_INSTANT - 1) // self.seconds * self.seconds
        return tick if tick > FIRST_INSTANT and tick >= 0 else None
