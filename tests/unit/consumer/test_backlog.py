# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The backlog that autoscalers go by: on the queue and parked, of the consumer's own group and handlers only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tickrelay_consumer.backlog import Backlog
from tickrelay_consumer.engine.shared import Limits, Load, Shared
from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.memory import MemoryBroker
from tickrelay_messaging.errors import BrokerUnavailable
from tickrelay_messaging.ledger.records import Route, Settlement, Verdict
from tickrelay_messaging.ledger.schedules import TickDecision, TickOutcome
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.message import Message

ROUTE = Route("orders", "default", "take")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    """Of a consumer of one queue."""
    with MemoryBroker() as broker, SqliteLedger(tmp_path / "ledger.db") as ledger:
        broker.declare(QueueSpec("orders", ("default", "other")))
        yield Shared(
            broker=broker,
            ledger=ledger,
            group="default",
            limits=Limits(),
            metrics=Metrics(),
            owner=ledger.enroll("me", [ROUTE]),
            load=Load(10),
            routes=(ROUTE,),
            name="me",
        )


def value(shared: Shared, name: str, **labels: str) -> float | None:
    """A gauge as scraped; None if it was never set."""
    labels = {"queue": "orders", "group": "default", **labels}
    return shared.metrics.registry.get_sample_value(f"tickrelay_consumer_{name}", labels)


def test_both_places_are_counted(shared: Shared) -> None:
    """Ready and in flight on the queue, waiting in the ledger, and how late the oldest due one is."""
    shared.broker.publish("orders", [Message.of(number) for number in range(5)])
    held = shared.broker.subscribe("orders")
    held.receive(2)
    claims = shared.ledger.claim(shared.owner, ROUTE, [Message.of(1, id="late"), Message.of(2, id="later")])
    dues = (time.time() - 100, time.time() + 1000)
    settled = [Settlement(claim, Verdict.RETRY, due) for claim, due in zip(claims, dues, strict=True)]
    shared.ledger.settle(shared.owner, settled)
    Backlog(shared)._look()

    assert (5, 2) == (value(shared, "backlog"), value(shared, "waiting", handler="take"))
    assert 100 <= (value(shared, "overdue_seconds", handler="take") or 0) < 160
    assert value(shared, "backlog", group="other") is None


def test_decisions_about_ticks_are_counted(shared: Shared) -> None:
    """What became of ticks since the last look, of whichever schedule."""
    backlog = Backlog(shared)
    backlog._look()
    shared.ledger.schedules.record([TickDecision(schedule="a/b", tick=1.0, outcome=TickOutcome.MISFIRED)])
    backlog._look()
    labels = {"schedule": "a/b", "outcome": "misfired"}

    assert 1 == shared.metrics.registry.get_sample_value("tickrelay_ticks_total", labels)


def test_nothing_to_do_is_nothing(shared: Shared) -> None:
    """Zero, not absent, so that a scaler can go down."""
    Backlog(shared)._look()
    assert (0, 0, 0) == (
        value(shared, "backlog"),
        value(shared, "waiting", handler="take"),
        value(shared, "overdue_seconds", handler="take"),
    )


def test_who_can_not_be_asked_harms_nobody(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away or broken: it looks again later, and the consumer goes on."""
    errors = [BrokerUnavailable("away"), KeyError("bug")]

    def fail(_queue: str) -> None:
        error = errors.pop()
        if not errors:
            shared.stopping.set()
        raise error

    monkeypatch.setattr(shared.broker, "stats", fail)
    monkeypatch.setattr("tickrelay_consumer.backlog.EVERY", 0.01)
    with capture_logs() as lines:
        Backlog(shared).run()
    assert ("error", []) == (lines[0]["log_level"], errors)
    assert "" == shared.gave_up
