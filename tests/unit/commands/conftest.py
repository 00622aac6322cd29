# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The `tickrelay` command, run in this process in an empty directory, over the default SQLite files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tickrelay_consumer.commands import run
from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.ledger import Ledger, open_ledger
from tickrelay_messaging.ledger.records import Failure, Route, Settlement, Verdict
from tickrelay_messaging.message import Message

ORDERS = Route("orders", "default", "sync_order")


@dataclass(frozen=True)
class Answer:
    """What a command line came back with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document it must be."""
        return json.loads(self.out)


Tick = Callable[..., Answer]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing set from outside."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("TICKRELAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


@pytest.fixture
def tick() -> Tick:
    """Runs `tickrelay ARGS...` as its console script does."""

    def call(*args: str, stdin: str | bytes = b"") -> Answer:
        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = run(list(args))
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            return Answer(code, out.getvalue().decode(), err.getvalue().decode())

    return call


@pytest.fixture
def broker(place: Path) -> Iterator[Broker]:
    """The default broker with one queue, `orders`."""
    with open_broker("sqlite:///.tickrelay/queue.db") as opened:
        opened.declare(QueueSpec("orders"))
        yield opened


@pytest.fixture
def ledger(place: Path) -> Iterator[Ledger]:
    """The default ledger."""
    with open_ledger("sqlite:///.tickrelay/ledger.db") as opened:
        yield opened


@pytest.fixture
def kill(ledger: Ledger) -> Callable[[Message], None]:
    """Makes a message a dead letter of `ORDERS`, as a handler that raises would."""
    owner = ledger.enroll("worker-1", [ORDERS])

    def fail(message: Message, failure: Failure | None = None) -> None:
        failure = failure or Failure("ValueError", "no such order", "Traceback: line 7")
        (claim,) = ledger.claim(owner, ORDERS, [message])
        ledger.settle(owner, [Settlement(claim, Verdict.DEAD, failure=failure)])

    return fail
