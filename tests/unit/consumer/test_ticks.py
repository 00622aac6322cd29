# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Decisions about ticks, counted for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tickrelay_consumer import ticks
from tickrelay_consumer.metrics import Metrics
from tickrelay_consumer.ticks import TickCounts
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Retention
from tickrelay_messaging.ledger.schedules import TickDecision, TickFilter, TickOutcome
from tickrelay_messaging.ledger.sqlite import SqliteLedger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty one."""
    with SqliteLedger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def metrics() -> Metrics:
    """Of one consumer."""
    return Metrics()


def decide(
    ledger: Ledger, ticks: range, outcome: TickOutcome = TickOutcome.FIRED, schedule: str = "a/b"
) -> None:
    """Record decisions."""
    ledger.schedules.record([TickDecision(schedule=schedule, tick=tick, outcome=outcome) for tick in ticks])


def value(metrics: Metrics, outcome: str, schedule: str = "a/b") -> float | None:
    """As scraped; None if there is no such series."""
    labels = {"schedule": schedule, "outcome": outcome}
    return metrics.registry.get_sample_value("tickrelay_ticks_total", labels)


def test_each_decision_once(ledger: Ledger, metrics: Metrics) -> None:
    """What was decided since the first look, once, however often and rarely it looks."""
    counts = TickCounts(metrics)
    counts.look(ledger.schedules)
    decide(ledger, range(3))
    decide(ledger, range(3, 5), TickOutcome.MISFIRED)
    for _ in range(3):
        counts.look(ledger.schedules)
    decide(ledger, range(5, 6), TickOutcome.MISFIRED)
    counts.look(ledger.schedules)

    assert (3, 3, 0) == tuple(value(metrics, outcome) for outcome in ("fired", "misfired", "revoked"))


def test_more_than_a_page(ledger: Ledger, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything since the last look, on however many pages, also when far fewer numbers are remembered."""
    monkeypatch.setattr(ticks, "_PAGE", 10)
    monkeypatch.setattr(ticks, "_KEPT", 15)
    counts = TickCounts(metrics)
    decide(ledger, range(5))
    counts.look(ledger.schedules)
    for begin in range(100, 1100, 100):
        decide(ledger, range(begin, begin + 100))
        counts.look(ledger.schedules)

    assert 1000 == value(metrics, "fired")


def test_the_past_is_zero(ledger: Ledger, metrics: Metrics) -> None:
    """What was decided before a consumer started is no rise, but its schedule's series are there from the start."""
    decide(ledger, range(30))
    TickCounts(metrics).look(ledger.schedules)

    assert {0.0} == {value(metrics, outcome) for outcome in TickOutcome}


def test_forgotten_decisions(ledger: Ledger, metrics: Metrics) -> None:
    """That the ledger forgets is no fall, and no rise either."""
    counts = TickCounts(metrics)
    counts.look(ledger.schedules)
    decide(ledger, range(30))
    counts.look(ledger.schedules)
    ledger.sweep({}, Retention(history=-1.0))
    counts.look(ledger.schedules)

    assert [] == ledger.schedules.list(TickFilter())
    assert 30 == value(metrics, "fired")
