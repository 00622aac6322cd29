# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay trace`: from an id or a run to what became of it, wherever it is."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import BatchInfo, Failure, Route, Settlement, Verdict
from tickrelay_messaging.message import Message

ORDERS = Route("orders", "default", "sync_order")
RUN = "scheduled__2026-11-23T19:05:30+00:00"


@pytest.fixture
def lived(ledger: Ledger) -> str:
    """A message of a batch that failed once and was done then; returns its id."""
    info = BatchInfo(id="batch-1", queue="orders", dag_id="order_sync", run_id=RUN, task_id="publish")
    ordinal = ledger.batches.open(info)
    ledger.batches.close("batch-1", ordinal, count=1)
    message = Message.of({"n": 1}, id="m1", extensions={"batchid": f"batch-1/{ordinal}"})
    owner = ledger.enroll("worker-1", [ORDERS])
    (claim,) = ledger.claim(owner, ORDERS, [message])
    failure = Failure("ValueError", "no \x1b[31mstock")
    ledger.settle(owner, [Settlement(claim, Verdict.RETRY, due=time.time() - 1, failure=failure)])
    (again,) = ledger.claim_due(owner, ORDERS, 1)
    ledger.settle(owner, [Settlement(again, Verdict.DONE)])
    return "m1"


def test_life_of_a_message(tick: Any, lived: str) -> None:
    """The whole life by id: state, attempts and every event with its instant, oldest first."""
    (life,) = tick("trace", lived, "--json").json["lives"]

    assert ("m1", "done", "sync_order", "batch-1/1") == (
        life["message_id"],
        life["state"],
        life["handler"],
        life["batch"],
    )
    instants = [event["at"] for event in life["events"]]
    assert instants == sorted(instants)
    assert all(instant.endswith("Z") for instant in instants)


def test_timeline_is_clean_text(tick: Any, lived: str) -> None:
    """For people the life is a timeline, in which no error text can command the terminal."""
    answer = tick("trace", lived)

    assert 0 == answer.code
    assert "handler sync_order: done" in answer.out
    assert "\x1b" not in answer.out


@pytest.mark.parametrize("line", [[f"order_sync/{RUN}"], [RUN, "--dag", "order_sync"]])
def test_run_shows_batches_and_messages(tick: Any, lived: str, line: list[str]) -> None:
    """A DAG run, named either way: its batches, how far each handler is, and the messages."""
    found = tick("trace", *line, "--json").json
    text = tick("trace", *line).out

    (batch,) = found["batches"]
    assert ("publish", "orders", 1) == (batch["task_id"], batch["queue"], batch["count"])
    assert [(1, True)] == [(one["done"], one["settled"]) for one in batch["handlers"]]
    assert ["m1"] == [one["message_id"] for one in batch["messages"]]
    assert "task publish -> queue orders: 1 message" in text
    assert "1 done" in text


def test_message_no_consumer_has_met(tick: Any, broker: Broker, ledger: Ledger) -> None:
    """An id the ledger doesn't know is looked for on the queues, which lose nothing by it."""
    broker.publish("orders", [Message.of(n, id=f"m{n}") for n in range(300)])

    found = tick("trace", "m250", "--json").json

    assert ("orders", False) == (found["on_queue"]["queue"], found["on_queue"]["in_flight"])
    assert "no consumer has received it yet" in tick("trace", "m250").out
    assert 300 == broker.stats("orders")[0].ready


def test_unknown_id_is_exit_one(tick: Any, broker: Broker, ledger: Ledger) -> None:
    """Nobody knows it: exit code 1, where was looked, and how runs are written."""
    answer = tick("trace", "m404")

    assert 1 == answer.code
    assert "neither the ledger nor the first 2,000 messages" in answer.err
    assert "DAG_ID/RUN_ID" in answer.err


def test_unknown_run_is_exit_one(tick: Any, broker: Broker, ledger: Ledger) -> None:
    """A run that has published nothing is said to be one; with --dag no queue is searched."""
    answer = tick("trace", RUN, "--dag", "order_sync")

    assert 1 == answer.code
    assert "has published nothing in a run" in answer.err


def test_without_ledger_the_queue_still_answers(tick: Any, broker: Broker) -> None:
    """Where no ledger can be asked, a message on a queue is found all the same."""
    broker.publish("orders", [Message.of(1, id="m1")])

    assert "orders" == tick("trace", "m1", "--json").json["on_queue"]["queue"]
    assert "the ledger could not be asked" in tick("trace", "m2").err
