# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The one error of this package."""

from __future__ import annotations

from tickrelay_messaging.errors import ConfigurationError


class CronError(ConfigurationError):
    """A cron expression, time zone or policy that cannot be used; the message says what to write instead."""


def outside(field: str, text: str, allowed: str) -> CronError:
    """The error for a value that is well formed but not within the field's range."""
    return CronError(f"{field}: '{shorten(text)}' is outside {allowed}")


def malformed(field: str, text: str, advice: str) -> CronError:
    """The error for text that is no value of the field at all; `advice` says what to write."""
    return CronError(f"{field}: '{shorten(text)}' {advice}")


def shorten(text: str, limit: int = 60) -> str:
    """User text made fit for one line of a message: control characters escaped, at most `limit` long."""
    line = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return line if len(line) <= limit else line[: limit - 3] + "..."
