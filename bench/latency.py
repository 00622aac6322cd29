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
QUEUE = "latency"
PAUSE = 0.02
WARM_UP = 5
"""Messages that aren't counted: the first one opens connections and loads code."""


def main(*, short: bool) -> None:
    """Print the table."""
    with scratch() as folder:
        url = f"sqlite:///{folder}/queue.db"
        cpu, late = measure(url, folder, 60 if short else 400, 5.0 if short else 20.0)
    p50, p99 = statistics.median(late), statistics.quantiles(late, n=100)[98]
    rows = [
        Row("publish -> handler starts", "P50, idle", p50 * 1e3, "ms", "<= 5 ms", p50 <= P50_GOAL),
        Row("publish -> handler starts", "P99, idle", p99 * 1e3, "ms"),
        Row("publish -> handler starts", "maximum", max(late) * 1e3, "ms"),
        Row("idle consumer", "one process", cpu * 100, "% of a core", "< 1 %", cpu < IDLE_GOAL),
    ]
    show("SQLite queue: an idle consumer in a process of its own", rows)


def measure(url: str, folder: Path, number: int, idle_seconds: float) -> tuple[float, list[float]]:
    """
    Args:
        url: of the broker.
        folder: takes the ledger, which is SQLite.
        idle_seconds: how long to watch the processor first; 0 doesn't.

    Returns:
        the part of a core that the idle consumer uses, and the seconds from before the publishing call to the handler.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.latency", url, str(folder), str(number + WARM_UP)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])},
    )
    with open_broker(url) as broker:
        broker.declare(QueueSpec(QUEUE))
        while not broker.stats(QUEUE)[0].consumers:
            time.sleep(0.05)
        cpu = _cpu_part(process.pid, idle_seconds) if idle_seconds else 0.0
        for _ in range(number + WARM_UP):
            broker.publish(QUEUE, [Message.of({"sent": time.time()})])
            time.sleep(PAUSE)
    return cpu, json.loads(process.communicate()[0])[WARM_UP:]


def _cpu_part(pid: int, seconds: float) -> float:
    watched = psutil.Process(pid)
    time.sleep(1.0)
    before, began = sum(watched.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return (sum(watched.cpu_times()[:2]) - before) / (time.monotonic() - began)


def _consume_process(url: str, folder: str, number: int) -> None:
    late: list[float] = []
    consumer = Consumer(url, f"sqlite:///{folder}/ledger.db")

    @consumer.handler(QUEUE)
    def note(message: Message, _context: Context) -> None:
        late.append(time.time() - message.data["sent"])
        if len(late) == number:
            threading.Thread(target=consumer.stop).start()

    consumer.run()
    print(json.dumps(late))


if __name__ == "__main__":
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    _consume_process(sys.argv[1], sys.argv[2], int(sys.argv[3]))
