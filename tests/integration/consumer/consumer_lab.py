# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Consumers over a real SQLite queue and ledger in a folder of the test's own, in a thread or in processes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from tickrelay_consumer import Consumer
from tickrelay_consumer.engine.shared import Limits
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter, DeadLetter
from tickrelay_messaging.ledger.reports import RouteStats
from tickrelay_messaging.message import Message

T = TypeVar("T")
WORKER = Path(__file__).with_name("consumer_worker.py")
QUEUE = "orders"


def until(condition: Callable[[], T], what: str = "", within: float = 15.0) -> T:
    """The condition's value once it is truthy; fails the test after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.01)
    return value


class Process:
    """A consumer in a process of its own."""

    _starter: subprocess.Popen[str] | None = None

    def __init__(self, settings: dict[str, object]) -> None:
        self._code: int | None = None
        self.pid = int(self._ask(settings) or 0)

    @classmethod
    def _ask(cls, question: object) -> int | None:
        if cls._starter is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            cls._starter = subprocess.Popen([sys.executable, str(WORKER)], text=True, **pipes)  # type: ignore[call-overload]
        starter = cls._starter
        assert starter is not None
        assert starter.stdin
        assert starter.stdout
        starter.stdin.write(json.dumps(question) + "\n")
        starter.stdin.flush()
        answer: int | None = json.loads(starter.stdout.readline())
        return answer

    @classmethod
    def close_starter(cls) -> None:
        """At the end of the session."""
        if cls._starter is not None:
            cls._starter.communicate()
            cls._starter = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._ask(self.pid)
        return self._code

    def wait(self, within: float = 20.0) -> int:
        """Its exit code, once it has ended."""
        until(lambda: self.poll() is not None, "the process ended", within)
        assert self._code is not None
        return self._code

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class Running:
    """A consumer in a thread of this process."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.code = self.consumer.run(signals=False)

    def stop(self, within: float = 30.0) -> int | None:
        """Gracefully; the exit code."""
        self.consumer.stop()
        self.thread.join(within)
        assert not self.thread.is_alive(), f"the consumer did not stop within {within:g} s"
        return self.code


class Lab:
    """One queue file, one ledger file, and what can be asked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue_file, self.ledger_file = folder / "queue.db", folder / "ledger.db"
        self.urls = {"broker": f"sqlite:///{self.queue_file}", "ledger": f"sqlite:///{self.ledger_file}"}
        self.broker = open_broker(self.urls["broker"])
        self.ledger = open_ledger(self.urls["ledger"])
        self.broker.declare(QueueSpec(QUEUE))
        self.write("CREATE TABLE effects (handler TEXT, id TEXT, pid INTEGER, at REAL)")
        self._processes: list[Process] = []

    def close(self) -> None:
        """Nothing of it outlives the test."""
        for process in self._processes:
            process.kill()
            process.wait()
        self.broker.close()
        self.ledger.close()

    def consumer(self, **limits: float) -> Consumer:
        """One over these files."""
        return Consumer(**self.urls, limits=Limits(**limits))  # type: ignore[arg-type]  # numbers, all of them

    @contextmanager
    def running(self, consumer: Consumer) -> Iterator[Running]:
        """It runs in a thread while inside."""
        running = Running(consumer)
        running.thread.start()
        try:
            yield running
        finally:
            running.stop()

    def spawn(self, **settings: object) -> Process:
        """A consumer in a process of its own, see `consumer_worker.py`; its log is in `log` in the folder."""
        process = Process({**self.urls, "folder": str(self.folder), **settings})
        self._processes.append(process)
        return process

    def spawn_ready(self, **settings: object) -> Process:
        """The same, once it has enrolled."""
        process = self.spawn(**settings)
        until(
            lambda: any(one.pid == process.pid for one in self.ledger.history.consumers()),
            "consumer enrolled",
        )
        return process

    def publish(self, *messages: Message, queue: str = QUEUE) -> list[str]:
        """Put messages on a queue; returns their ids."""
        self.broker.publish(queue, messages)
        return [message.id for message in messages]

    def publish_many(self, count: int, queue: str = QUEUE) -> list[str]:
        """So many messages whose data is their number."""
        return self.publish(*(Message.of(number) for number in range(count)), queue=queue)

    def write(self, *statements: str, file: Path | None = None) -> None:
        """Straight into a file, past everybody."""
        with closing(sqlite3.connect(file or self.ledger_file, timeout=20)) as db, db:
            for statement in statements:
                db.execute(statement)

    def effects(self, handler: str | None = None) -> list[str]:
        """Ids of the messages whose effect is there, once an effect."""
        with closing(sqlite3.connect(self.ledger_file, timeout=20)) as db:
            rows = db.execute("SELECT handler, id FROM effects").fetchall()
        file = self.folder / "effects"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [*rows, *(tuple(line.split(" ")[:2]) for line in lines)]
        return [id_ for name, id_ in found if handler in (None, name)]

    def dead(self) -> list[DeadLetter]:
        """All dead letters with everything kept of them, oldest first."""
        listed = self.ledger.dead_letters.list(DeadFilter(), limit=10_000)
        return [found for one in listed if (found := self.ledger.dead_letters.show(one.number))]

    def stats(self, handler: str) -> RouteStats:
        """One handler in numbers."""
        found = [row for row in self.ledger.history.stats() if row.route.handler == handler]
        return found[0] if found else RouteStats(route=None)  # type: ignore[arg-type]  # zeroes

    def done(self, handler: str) -> int:
        """Messages a handler is done with."""
        return self.stats(handler).done

    def on_queue(self, queue: str = QUEUE) -> tuple[int, int]:
        """Messages ready and in flight."""
        (row,) = self.broker.stats(queue)
        return row.ready, row.in_flight

    def is_idle(self, queue: str = QUEUE) -> bool:
        """Whether everything published has come to its end."""
        waiting = [row for row in self.ledger.history.stats() if row.waiting or row.claimed]
        return self.on_queue(queue) == (0, 0) and not waiting


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program holds the write lock of a file while inside."""
    with closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def end(process: Process, within: float = 30.0) -> int:
    """SIGTERM, and the exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(within)


def metric(consumer: Consumer, name: str, **labels: str) -> float:
    """The present value of a metric; 0 where it was never counted."""
    return consumer.metrics.registry.get_sample_value(name, labels) or 0.0


def total(consumer: Consumer, name: str) -> float:
    """The sum of a metric over all its labels."""
    families: Sequence[object] = list(consumer.metrics.registry.collect())
    samples = [sample for family in families for sample in family.samples]  # type: ignore[attr-defined]
    return float(sum(sample.value for sample in samples if sample.name == name))
