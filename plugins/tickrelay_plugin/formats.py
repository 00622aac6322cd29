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


FILTERS: dict[str, Callable[..., str]] = {"instant": instant, "count": count}
"""For the templates."""
