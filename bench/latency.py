# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""An idle consumer: how soon a message starts, and what waiting costs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from bench.report import Row, scratch, show
from tickrelay_consumer import Consumer, Context
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.message import Message

P50_GOAL = 0.005
IDLE_GOAL = 0.01


def main(*, short: bool) -> None:
    """Print the table."""
    with scratch() as folder:
        cpu, late = measure(folder, 60 if short else 400, 5.0 if short else 20.0)
    p50, p99 = statistics.median(late), statistics.quantiles(late, n=100)[98]
    rows = [
        Row("publish -> handler starts", "P50, idle", p50 * 1e3, "ms", "<= 5 ms", p50 <= P50_GOAL),
        Row("publish -> handler starts", "P99, idle", p99 * 1e3, "ms"),
        Row("publish -> handler starts", "maximum", max(late) * 1e3, "ms"),
        Row("idle consumer", "one process", cpu * 100, "% of a core", "< 1 %", cpu < IDLE_GOAL),
    ]
    show("SQLite queue: an idle consumer in a process of its own", rows)


def measure(folder: Path, number: int, idle_seconds: float) -> tuple[float, list[float]]:
    """
    Returns:
        the part of a core that the idle consumer uses, and the seconds from before the publishing call to the handler.
    """
    script = [sys.executable, "-m", "bench.latency", str(folder), str(number)]
    process = subprocess.Popen(
        script,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    with open_broker(f"sqlite:///{folder}/queue.db") as broker:
        broker.declare(QueueSpec("orders"))
        while not broker.stats("orders")[0].consumers:
            time.sleep(0.05)
        cpu = _cpu_part(process.pid, idle_seconds)
        for _ in range(number):
            broker.publish("orders", [Message.of({"sent": time.time()})])
            time.sleep(0.02)
    return cpu, json.loads(process.communicate()[0])


def _cpu_part(pid: int, seconds: float) -> float:
    watched = psutil.Process(pid)
    time.sleep(1.0)
    before, began = sum(watched.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return (sum(watched.cpu_times()[:2]) - before) / (time.monotonic() - began)


def _consume_process(folder: str, number: int) -> None:
    late: list[float] = []
    consumer = Consumer(f"sqlite:///{folder}/queue.db", f"sqlite:///{folder}/ledger.db")

    @consumer.handler("orders")
    def note(message: Message, _context: Context) -> None:
        late.append(time.time() - message.data["sent"])
        if len(late) == number:
            threading.Thread(target=consumer.stop).start()

    consumer.run()
    print(json.dumps(late))


if __name__ == "__main__":
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    _consume_process(sys.argv[1], int(sys.argv[2]))
