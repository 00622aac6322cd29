# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The embedded queue: confirmed publishing, and consuming with deduplication.

Every contestant writes to SQLite with a write-ahead log and synchronous=FULL. huey and litequeue have no batches and no
deduplication; the bare loop has both, and is what sqlite3 itself can do.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from huey import SqliteHuey
from litequeue import LiteQueue

from bench.report import Row, scratch, show, timed
from tickrelay_consumer import Consumer, Context
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.message import Message

BATCH = 256
GOAL = 12_000
PAYLOAD = {"order": 123456, "note": "x" * 150}


def main(*, short: bool) -> None:
    """Print both tables."""
    number = 6_000 if short else 40_000
    publish(number)
    consume(number)


def publish(number: int) -> None:
    """Confirmed publishing: a message counts when it is on the disk."""
    few = max(500, number // 20)
    rows = [
        _rate("tickrelay", f"batches of {BATCH}", number, lambda path: _ours(path, number, BATCH)),
        _rate("bare sqlite3", f"batches of {BATCH}", number, lambda path: _bare_publish(path, number, BATCH)),
        _rate("tickrelay", "one by one", few, lambda path: _ours(path, few, 1)),
        _rate("bare sqlite3", "one by one", few, lambda path: _bare_publish(path, few, 1)),
        _rate("huey", "one by one", few, lambda path: _huey_publish(path, few)),
        _rate("litequeue", "one by one", few, lambda path: _litequeue_publish(path, few)),
    ]
    show("SQLite queue: confirmed publish (WAL, synchronous=FULL, 170-byte JSON body)", rows)


def consume(number: int) -> None:
    """Consuming with the acknowledgement after the work; the handler counts, nothing else."""
    few = max(500, number // 10)
    ours = _best_consumer_rate(number, "external", 1)
    two = _best_consumer_rate(number, "external", 2)
    within = _best_consumer_rate(number, "transaction", 1)
    rows = [
        Row("tickrelay", "dedup, external, 1 process", ours, "/s", f">= {GOAL:,}/s", ours >= GOAL),
        Row("tickrelay", "dedup, external, 2 processes", two, "/s", f">= {GOAL:,}/s", two >= GOAL),
        Row("tickrelay", "dedup, transaction, 1 process", within, "/s"),
        _rate("bare sqlite3", f"dedup, batches of {BATCH}", number, lambda path: _bare_consume(path, number)),
        _rate("huey", "no dedup, one by one", few, lambda path: _huey_consume(path, few)),
        _rate("litequeue", "no dedup, one by one", few, lambda path: _litequeue_consume(path, few)),
    ]
    show("SQLite queue: receive, work, settle, acknowledge (WAL, synchronous=FULL)", rows)


def _rate(what: str, setting: str, number: int, work: Callable[[Path], float]) -> Row:
    with scratch() as folder:
        return Row(what, setting, number / work(folder / "queue.db"), "/s")


def _ours(path: Path, number: int, batch: int) -> float:
    with open_broker(f"sqlite:///{path}") as broker:
        broker.declare(QueueSpec("orders"))
        messages = [Message.of(PAYLOAD) for _ in range(number)]
        return timed(
            lambda: [broker.publish("orders", messages[at : at + batch]) for at in range(0, number, batch)]
        )


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS queue (n INTEGER PRIMARY KEY, id TEXT, headers TEXT, body BLOB)"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY) WITHOUT ROWID")
    return connection


def _bare_publish(path: Path, number: int, batch: int) -> float:
    connection = _bare(path)
    body = json.dumps(PAYLOAD).encode()
    rows = [(str(uuid4()), json.dumps({"type": "order", "source": "bench"}), body) for _ in range(number)]

    def work() -> None:
        for at in range(0, number, batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO queue (id, headers, body) VALUES (?,?,?)", rows[at : at + batch]
            )
            connection.execute("COMMIT")

    seconds = timed(work)
    connection.close()
    return seconds


def _bare_consume(path: Path, number: int) -> float:
    _bare_publish(path, number, BATCH)
    connection = _bare(path)

    def work() -> None:
        done = 0
        while done < number:
            connection.execute("BEGIN IMMEDIATE")
            rows = connection.execute(
                "SELECT n, id, headers, body FROM queue ORDER BY n LIMIT ?", (BATCH,)
            ).fetchall()
            for _, _, headers, body in rows:
                json.loads(headers)
                json.loads(body)
                done += 1
            connection.executemany("INSERT OR IGNORE INTO done VALUES (?)", [(row[1],) for row in rows])
            connection.executemany("DELETE FROM queue WHERE n = ?", [(row[0],) for row in rows])
            connection.execute("COMMIT")

    seconds = timed(work)
    connection.close()
    return seconds


def _huey(path: Path) -> tuple[SqliteHuey, Callable[[dict[str, object]], object]]:
    huey = SqliteHuey("bench", filename=str(path), fsync=True, results=False)

    @huey.task()  # type: ignore[untyped-decorator]  # huey has no types
    def work(payload: dict[str, object]) -> None:
        """The handler that does nothing."""

    return huey, work


def _huey_publish(path: Path, number: int) -> float:
    _, work = _huey(path)
    return timed(lambda: [work(PAYLOAD) for _ in range(number)])


def _huey_consume(path: Path, number: int) -> float:
    huey, work = _huey(path)
    for _ in range(number):
        work(PAYLOAD)
    return timed(lambda: [huey.execute(huey.dequeue()) for _ in range(number)])


def _litequeue(path: Path) -> LiteQueue:
    queue = LiteQueue(str(path))
    queue.conn.execute("PRAGMA synchronous=FULL")
    return queue


def _litequeue_publish(path: Path, number: int) -> float:
    queue = _litequeue(path)
    return timed(lambda: [queue.put(json.dumps(PAYLOAD)) for _ in range(number)])


def _litequeue_consume(path: Path, number: int) -> float:
    queue = _litequeue(path)
    for _ in range(number):
        queue.put(json.dumps(PAYLOAD))

    def work() -> None:
        for _ in range(number):
            message = queue.pop()
            json.loads(message.data)
            queue.done(message.message_id)

    return timed(work)


def _best_consumer_rate(number: int, effect: str, processes: int, rounds: int = 2) -> float:
    """The better of two rounds: the first also pays for a cold disk cache, and machines here are noisy."""
    return max(_consumer_rate(number, effect, processes) for _ in range(rounds))


def _consumer_rate(number: int, effect: str, processes: int) -> float:
    """Effects a second from the first effect to the last, whichever process had them."""
    with scratch() as folder:
        _ours(folder / "queue.db", number, BATCH)
        script = [sys.executable, "-m", "bench.sqlite_queue", str(folder), str(number), effect]
        running = [
            subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."})
            for _ in range(processes)
        ]
        spans = [json.loads(process.communicate()[0]) for process in running]
    spans = [span for span in spans if span["count"]]
    count = sum(span["count"] for span in spans)
    return count / (max(span["last"] for span in spans) - min(span["first"] for span in spans))


class _Counter:
    """Counts effects, and ends the consumer when the queue has nothing left."""

    def __init__(self, folder: str, number: int) -> None:
        self.broker = open_broker(f"sqlite:///{folder}/queue.db")
        self.number = number
        self.span = {"count": 0.0, "first": 0.0, "last": 0.0}

    def count(self, _message: Message, _context: Context) -> None:
        now = time.time()
        self.span["first"] = self.span["first"] or now
        self.span["last"] = now
        self.span["count"] += 1

    def stop_at_the_end(self, consumer: Consumer) -> None:
        while any(row.ready or row.in_flight for row in self.broker.stats("orders")):
            time.sleep(0.05)
        consumer.stop()


def _consume_process(folder: str, number: int, effect: str) -> None:
    counter = _Counter(folder, number)
    consumer = Consumer(f"sqlite:///{folder}/queue.db", f"sqlite:///{folder}/ledger.db")
    consumer.handler("orders", effect=effect, name="count")(counter.count)
    threading.Thread(target=counter.stop_at_the_end, args=(consumer,), daemon=True).start()
    consumer.run()
    print(json.dumps(counter.span))


if __name__ == "__main__":
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    _consume_process(sys.argv[1], int(sys.argv[2]), sys.argv[3])
