# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The processes of a campaign, and what the campaign may ask of them while they work."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Protocol

from tests.chaos.brokers.history import Tail, read
from tests.chaos.brokers.worker import TABLE

from tickrelay_messaging.ledger import open_ledger

ROOT = Path(__file__).parents[3]
RECEIVERS = 2
LEAVING = 40.0
"""Seconds that a process has to stop."""


class Child:
    """One process; its output goes into a log in the campaign's folder."""

    def __init__(self, module: str, settings: dict[str, object], log: Path) -> None:
        self.name = log.stem
        command = [sys.executable, "-m", f"tests.chaos.brokers.{module}", json.dumps(settings)]
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)

    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that doesn't help."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(LEAVING)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


class Publishing:
    """The publisher, and how far it is."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        history = folder / "publisher.jsonl"
        self._child = Child("publisher", {**settings, "history": str(history)}, folder / "publisher.log")
        self._tail = Tail(history)
        self.confirmed = self.failures = 0

    def look(self) -> None:
        """Read on in its history."""
        for row in self._tail.rows():
            self.confirmed += len(row["ids"]) if row["kind"] == "confirmed" else 0
            self.failures += row["kind"] in ("named", "refused")

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._child.code() is not None

    def stop(self) -> None:
        """However far it is."""
        self._child.stop()

    def died(self) -> bool:
        """Whether it ended with an error."""
        return bool(self._child.code())


class Crew(Protocol):
    """Those who receive."""

    def is_ready(self) -> bool:
        """Whether all of them are at work."""

    def progress(self) -> int:
        """Something that grows while they work."""

    def ended(self) -> list[str]:
        """An id for each delivery or effect."""

    def watch(self) -> list[str]:
        """Names of those that died since the last look."""

    def stop(self) -> None:
        """All of them."""


class Receivers:
    """Bare subscriptions in processes of their own."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        self._folder = folder
        self._children: list[Child] = []
        self._tails: list[Tail] = []
        self._progress = 0
        for number in range(RECEIVERS):
            history = folder / f"receiver-{number}.jsonl"
            own = {**settings, "seed": number, "history": str(history)}
            self._children.append(Child("receiver", own, history.with_suffix(".log")))
            self._tails.append(Tail(history))

    def is_ready(self) -> bool:
        """Whether all have joined."""
        files = [self._folder / f"receiver-{number}.jsonl" for number in range(RECEIVERS)]
        return all(file.exists() and file.stat().st_size for file in files)

    def progress(self) -> int:
        """Deliveries."""
        for tail in self._tails:
            self._progress += sum(len(row["ids"]) for row in tail.rows() if row["kind"] == "received")
        return self._progress

    def ended(self) -> list[str]:
        """An id for each delivery."""
        return read(self._folder, "received")

    def watch(self) -> list[str]:
        """None may die."""
        died = [child for child in self._children if child.code() is not None]
        self._children = [child for child in self._children if child not in died]
        return [f"{child.name} died with code {child.code()}" for child in died]

    def stop(self) -> None:
        """All of them."""
        for child in self._children:
            child.stop()


class Consumers:
    """Whole consumers with one ledger; one that gives up is started again, as its supervisor would."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        self._file = folder / "ledger.db"
        self._folder = folder
        self._settings = {**settings, "ledger": f"sqlite:///{self._file}"}
        open_ledger(f"sqlite:///{self._file}").close()
        with closing(sqlite3.connect(self._file, timeout=20)) as db, db:
            db.execute(TABLE)
        self._children = [self._spawn(number) for number in range(RECEIVERS)]

    def is_ready(self) -> bool:
        """Whether all say that they consume."""
        logs = [self._folder / f"consumer-{number}.log" for number in range(RECEIVERS)]
        return all(b"consuming" in log.read_bytes() for log in logs)

    def progress(self) -> int:
        """Effects."""
        with closing(sqlite3.connect(self._file, timeout=20)) as db:
            return int(db.execute("SELECT count(*) FROM effects").fetchone()[0])

    def ended(self) -> list[str]:
        """An id for each effect."""
        with closing(sqlite3.connect(self._file, timeout=20)) as db:
            return [row[0] for row in db.execute("SELECT id FROM effects")]

    def watch(self) -> list[str]:
        """A consumer may give up with code 1; it is started again and that is reported."""
        died = []
        for number, child in enumerate(self._children):
            if child.code() is not None:
                died.append(f"{child.name} ended with code {child.code()}")
                self._children[number] = self._spawn(number)
        return died

    def stop(self) -> None:
        """All of them."""
        for child in self._children:
            child.stop()

    def _spawn(self, number: int) -> Child:
        return Child("worker", self._settings, self._folder / f"consumer-{number}.log")
