# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Memory of a consumer: idle, and with messages parked in its ledger."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.brokers.material import payload
from bench.effects.ours import QUEUE
from bench.report import OURS, Row, scratch
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.message import Message

PARKED = 10_000
IDLE_MOST, PARKED_MOST = 80, 20
"""Megabytes."""
_PATIENCE = 120.0


def rows() -> list[Row]:
    """A consumer on SQLite, which imports what every consumer does."""
    with scratch() as folder:
        broker, ledger = f"sqlite:///{folder}/queue.db", f"sqlite:///{folder}/ledger.db"
        with open_broker(broker) as queue:
            queue.declare(QueueSpec(QUEUE))
        idle, parked = _watch(folder, broker, ledger)
    grown = max(0.0, parked - idle)
    return [
        Row(OURS, "idle consumer, SQLite", idle, "MB", f"<= {IDLE_MOST} MB", idle <= IDLE_MOST),
        Row(OURS, f"{PARKED:,} parked, growth", grown, "MB", f"<= {PARKED_MOST} MB", grown <= PARKED_MOST),
    ]


def _watch(folder: Path, broker: str, ledger: str) -> tuple[float, float]:
    script = [sys.executable, "-m", "bench.effects.effect", "ours:consume", str(folder / "effects"), "1"]
    running = subprocess.Popen([*script, broker, ledger], env={**os.environ, "PYTHONPATH": "."})
    try:
        with open_ledger(ledger) as books:
            _until(lambda: bool(books.history.consumers()))
            time.sleep(2)  # what it allocates once it runs
            idle = _megabytes(running.pid)
            later = datetime.now(UTC) + timedelta(hours=1)
            with open_broker(broker) as queue:
                queue.publish(
                    QUEUE, [Message.of(payload(n), deliver_at=later) for n in range(PARKED)], timeout=60
                )
            _until(lambda: sum(row.waiting for row in books.history.stats()) >= PARKED)
            return idle, _megabytes(running.pid)
    finally:
        running.kill()
        running.wait()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {_PATIENCE:g} s")
        time.sleep(0.1)


def _megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
