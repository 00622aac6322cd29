# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Schedules in words."""

from __future__ import annotations

import pytest

from tickrelay_airflow.cron import describe


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/5 * * * *", "Every 5 minutes"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("0 */5 9-17 ? * MON-FRI", "Every 5 minutes, between 09:00 and 17:59, Monday through Friday"),
        ("30 0 12 * * ?", "At 12:00:30"),
        ("0 0 * * 6", "At 00:00, only on Saturday"),
        ("0 0 12 ? * 6", "At 12:00, only on Friday"),
        ("0 0 12 ? * 6#3", "At 12:00, on the third Friday of the month"),
        ("0 0 0 ? * 6L", "At 00:00, on the last Friday of the month"),
        ("0 0 L-2 * *", "At 00:00, 2 days before the last day of the month"),
        ("0 0 15W * *", "At 00:00, on the weekday nearest day 15 of the month"),
        ("0 0 * * WED,FRI", "At 00:00, only on Wednesday and Friday"),
        ("0 0 0 1 1 ? 2030", "At 00:00, on day 1 of the month, only in January, only in 2030"),
        ("@daily", "At 00:00"),
        ("@every 90s", "Every 1 minute 30 seconds"),
        ("@every 48h", "Every 2 days"),
    ],
)
def test_words(expression: str, expected: str) -> None:
    """Seconds come first, and weekday numbers are read in the dialect of the expression."""
    assert describe(expression) == expected


def test_both_day_fields_are_joined_as_they_are_meant() -> None:
    """Unix means either day field, Quartz and the star rule mean both."""
    either = "At 00:00, on day 13 of the month (or) At 00:00, only on Friday"
    assert describe("0 0 13 * FRI") == either
    assert describe("0 0 13 * FRI", dialect="quartz") == either.replace("(or)", "(and)")


def test_hash_is_described_as_it_falls() -> None:
    """The words of an H are those of the values it stands for."""
    assert describe("H H * * *", seed="billing") != describe("H H * * *", seed="reports")
    assert describe("H H * * *", seed="billing").startswith("At ")


@pytest.mark.parametrize("expression", ["", "61 * * * *", "nonsense", "0 0 L-2W * *", "0 0 1,15W * *"])
def test_no_words(expression: str) -> None:
    """What is invalid, or would get wrong words, is shown as written; nothing is raised."""
    assert describe(expression) == expression
