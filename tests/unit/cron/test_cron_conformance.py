# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Other people's cron: which of their rules ours keeps, and that the page that says so tells the truth."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.cron.conformance import OCPS_1_0, PAGE, STANDARDS, Rule, page

from tickrelay_airflow.cron import Cron, CronError
from tickrelay_airflow.timetable import CronSchedule

RULES = [
    pytest.param(rule, id=f"{standard.partition(':')[0]}: {rule.text}")
    for standard, rules in STANDARDS.items()
    for rule in rules
]


@pytest.mark.parametrize("rule", RULES)
def test_ours_does_what_the_page_says(rule: Rule) -> None:
    """It ticks then and not otherwise, or refuses the expression."""
    if not rule.ticks:
        with pytest.raises(CronError):
            Cron(rule.expression, **rule.options)
        return
    schedule = Cron(rule.expression, **rule.options)
    found = {text: schedule.matches(datetime.fromisoformat(text).replace(tzinfo=UTC)) for text in rule.ticks}
    assert rule.ticks == found


def test_the_page_is_made_of_the_rules() -> None:
    """Written by `python -m tests.unit.cron.conformance`; a rule that changes must change there too."""
    assert page() == PAGE.read_text()


def test_an_impossible_date_is_refused_as_a_schedule() -> None:
    """As that row says."""
    (impossible,) = [rule for rule in OCPS_1_0 if "impossible" in rule.text]
    with pytest.raises(CronError, match="never ticks"):
        CronSchedule(impossible.expression)


def test_a_range_of_years_that_runs_backwards_is_refused() -> None:
    """As the row on wrapping ranges says."""
    with pytest.raises(CronError, match="runs backwards"):
        Cron("0 0 0 1 1 ? 2030-2028")
