# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay schedule list` in the windows that people have."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tickrelay_airflow.commands.schedule._views import print_schedules
from tickrelay_airflow.control.records import ComingTick, Decision, ScheduleView

AT = datetime(2026, 11, 29, 6, 30, tzinfo=UTC)
ONE = ScheduleView(
    dag_id="orders_to_the_search_index",
    schedule="local/orders_to_the_search_index",
    ledger=None,
    expression="0 30 7 L * ?",
    words="At 07:30 AM, on the last day of the month",
    timezone="Europe/Berlin",
    settings={},
    paused=False,
    next=[ComingTick(at=AT, due=AT, local="2026-11-29 07:30:00 CET")],
    last=Decision(tick=AT, outcome="misfired", task_id="publish", run_id="r", reason="late", at=AT, number=1),
    misfires=3,
)


def test_eighty_columns_do(monkeypatch, capsys) -> None:
    """The usual terminal: nothing is cut, and neither the next tick nor the last decision is broken in two."""
    monkeypatch.setenv("COLUMNS", "80")
    print_schedules([ONE])
    shown = capsys.readouterr().out
    assert {len(line) for line in shown.splitlines()} == {80}
    for whole in (ONE.dag_id, "2026-11-29 07:30:00", "misfired", "misfires"):
        assert whole in shown
    assert [word for word in ONE.words.split() if word not in shown] == []


@pytest.mark.parametrize("width", [120, 160])
def test_a_wide_one_shows_all(monkeypatch, capsys, width: int) -> None:
    """With room there are the expression, the tick with its zone, and the decision with its reason."""
    monkeypatch.setenv("COLUMNS", str(width))
    print_schedules([ONE])
    shown = capsys.readouterr().out
    for whole in (ONE.expression, "2026-11-29 07:30:00 CET", "misfired", "late"):
        assert whole in shown
