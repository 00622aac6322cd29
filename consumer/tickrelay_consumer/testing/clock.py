# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A clock that stands still until it is told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """
    Unix seconds when called.

    Args:
        start: an aware instant.
    """

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def __call__(self) -> float:
        return self._now.timestamp()

    @property
    def now(self) -> datetime:
        """The instant, in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        if not seconds >= 0:
            raise ValueError(f"a clock doesn't run backwards, got {seconds:g} s")
        self._now += timedelta(seconds=seconds)
