# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The consumer's guide: its snippets run, its table of metrics is complete, and it promises nothing that can't be."""

from __future__ import annotations

import re
import runpy
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from tickrelay_consumer import Consumer, Message
from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.failpoints import VARIABLE
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter
from tickrelay_messaging.ledger.sqlite import SqliteLedger

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "consumer.md"
PROSE = GUIDE.read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PROSE, re.DOTALL | re.MULTILINE)
EXAMPLES = {
    "orders": {"number": 7, "total": 12},
    "payments": {"amount": -1},
}


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Executed as it stands; a consumer in it carries out a message, to the end that its text tells of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "snippet.py").write_text(SNIPPETS[number])
    consumer = runpy.run_path("snippet.py").get("consumer")
    if consumer is not None:
        _carry_out(consumer)


def _carry_out(consumer: Consumer) -> None:
    (handler,) = consumer.handlers
    with open_broker("sqlite:///queue.db") as broker, open_ledger("sqlite:///ledger.db") as ledger:
        assert isinstance(ledger, SqliteLedger)
        with ledger.database.write() as connection:
            connection.execute(text("CREATE TABLE bookings (id TEXT, total INTEGER)"))
        broker.declare(QueueSpec(handler.queue))
        broker.publish(handler.queue, [Message.of(EXAMPLES[handler.queue])])
        thread = threading.Thread(target=lambda: consumer.run(signals=False))
        thread.start()
        deadline = time.monotonic() + 10
        while not (ended := [row for row in ledger.history.stats() if row.done or row.dead]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        consumer.stop()
        thread.join(10)
        dead = ledger.dead_letters.list(DeadFilter())
    assert (handler.queue == "payments") == bool(ended[0].dead)
    assert all("an amount must be positive" in one.error for one in dead)


def test_every_metric_is_explained() -> None:
    """The table names what is there, and nothing else."""
    listed = set(re.findall(r"^\| `(\w+)` \|", PROSE, re.MULTILINE))
    there = set()
    for family in Metrics().registry.collect():
        name = family.name.removeprefix("tickrelay_consumer_")
        there.add(f"{name}_total" if family.type == "counter" else name)
    assert there == listed


def test_the_guide_promises_nothing_impossible() -> None:
    """Delivery is at least once; nobody delivers exactly once."""
    assert not re.search(r"exactly[- ]once", PROSE, re.IGNORECASE)
    assert "at least once" in PROSE
