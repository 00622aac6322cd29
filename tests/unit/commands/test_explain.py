# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay explain`: every handler on every broker and ledger asked for, from their own settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tickrelay_consumer.commands.explain import app
from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.ledger import Ledger

CONSUMER = """
from tickrelay_consumer import Consumer

consumer = Consumer()


@consumer.handler("orders", effect="transaction")
def book(message, ctx):
    pass


@consumer.handler("mails")
def send(message, ctx):
    pass
"""


@pytest.fixture
def explain(place: Path) -> Any:
    """Runs it over a consumer with two handlers."""
    (place / "explained.py").write_text(CONSUMER)
    return lambda *args: CliRunner().invoke(
        app, ["explained.py", *args], catch_exceptions=False, standalone_mode=False
    )


def test_each_handler_is_explained(explain: Any, broker: Broker, ledger: Ledger) -> None:
    """For people: effect once for one, at least once and its windows for the other."""
    answer = explain()
    assert 0 == answer.return_value, answer.output
    assert "book of queue orders, broker sqlite, ledger sqlite" in answer.stdout
    assert "effect once: effect and done-mark commit together" in answer.stdout
    assert "between the effect and its mark" in answer.stdout


def test_the_ledger_is_asked(explain: Any, broker: Broker, ledger: Ledger) -> None:
    """SQLite says that it writes through, so there is no window of its."""
    found = json.loads(explain("--json").stdout)
    (book,) = [one for one in found if one["handler"] == "book"]
    assert ([], [], "at least once") == (book["windows"], book["refused"], book["delivery"])


def test_the_consumers_retention_is_told(place: Path, broker: Broker, ledger: Ledger) -> None:
    """How long duplicates are known is what this consumer was given, not what is usual."""
    limited = CONSUMER.replace("Consumer()", "Consumer(limits=Limits(dedup=3 * 86_400))")
    limits = "from tickrelay_consumer.engine.shared import Limits"
    (place / "limited.py").write_text(f"{limits}\n{limited}")
    answer = CliRunner().invoke(app, ["limited.py"], catch_exceptions=False, standalone_mode=False)
    assert "for at least 3 days" in answer.stdout


def test_combinations_are_compared(explain: Any, broker: Broker, ledger: Ledger) -> None:
    """Two brokers and two ledgers make four each; what a ledger can't do is refused, with exit code 1."""
    redis = "redis://127.0.0.1:1/0"
    answer = explain(
        "--json", "--broker", "sqlite:///.tickrelay/queue.db", "--broker", "memory:",
        "--ledger", "sqlite:///.tickrelay/ledger.db", "--ledger", redis,
    )  # fmt: skip
    found = json.loads(answer.stdout)
    refused = {(one["handler"], one["ledger"]) for one in found if one["refused"]}
    assert (1, 8) == (answer.return_value, len(found))
    assert {("book", "redis")} == refused
    assert {"memory", "sqlite"} == {one["broker"] for one in found}


def test_who_is_away_is_named(explain: Any, place: Path) -> None:
    """It goes by the kind then, says so, and leaves no file behind."""
    answer = explain("--json")
    assert 0 == answer.return_value
    assert "can't be asked" in answer.stderr
    assert not (place / ".tickrelay").exists()
    assert all("not asked" in " ".join(one["windows"]) for one in json.loads(answer.stdout))


def test_no_password_is_shown(explain: Any) -> None:
    """Neither when all is well nor when nobody answers."""
    answer = explain("--ledger", "postgresql://u:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in answer.output
