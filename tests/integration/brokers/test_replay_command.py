# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A queue read again from the command line, on a real Redis: replay, consume until empty, forget."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.services.redis import running_server
from tests.unit.brokers.capabilities_table import shown

from tickrelay_consumer.commands import run
from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.message import Message

WORKER = """
from pathlib import Path
from tickrelay_consumer import Consumer, Retry
consumer = Consumer()

@consumer.handler("orders", retry=Retry(first=0.1, attempts=2))
def sync_order(message, ctx):
    with Path("effects").open("a") as file:
        file.write(f"{ctx.route.group} {message.id}\\n")
    if ctx.attempt == 1 and message.id == "m2":
        raise ValueError("once")

@consumer.handler("other")
def not_replayed(message, ctx):
    raise AssertionError("nothing is published here")
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server keeps acknowledged messages for an hour."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url(options="&retention=3600")


@pytest.fixture
def broker(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """The publisher's connection to a queue with three messages, in a folder with a consumer."""
    for name in [name for name in os.environ if name.startswith("TICKRELAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKRELAY_BROKER", url)
    (tmp_path / "worker_replay.py").write_text(WORKER)
    path = list(sys.path)
    with open_broker(url) as broker:
        broker.declare(QueueSpec("orders"))
        broker.publish("orders", [Message.of(n, id=f"m{n}") for n in range(3)])
        yield broker
        broker.forget("orders", "default")
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(("worker_", "tickrelay_target_"))]:
        del sys.modules[name]


@pytest.fixture
def tick(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command that must succeed, and returns its JSON, if it has any."""

    def call(*args: str) -> Any:
        capsys.readouterr()
        code = run(list(args))
        out, err = capsys.readouterr()
        assert 0 == code, err
        return json.loads(out) if "--json" in args else out

    return call


def effects(folder: Path) -> Counter[str]:
    """How often each group has carried out each message."""
    return Counter((folder / "effects").read_text().splitlines())


def test_a_replay_is_carried_out_anew(broker: Broker, tick: Callable[..., Any], tmp_path: Path) -> None:
    """Every handler runs again, once a message and with its retries, and the queue's own group is left alone."""
    consume = ("consume", "worker_replay.py", "--until-empty", "0.5")
    tick(*consume)
    assert {"default m0": 1, "default m1": 1, "default m2": 2} == effects(tmp_path)

    made = tick("queue", "replay", "orders", "--since", "1h", "--json")
    assert ("default~r1", 3) == (made["group"], made["ready"])
    for _ in range(2):  # the second finds everything done
        tick(*consume, "--group", "default~r1")
    again = {"default~r1 m0": 1, "default~r1 m1": 1, "default~r1 m2": 2}
    assert {"default m0": 1, "default m1": 1, "default m2": 2, **again} == effects(tmp_path)

    assert made["forget"] == "tickrelay queue forget orders default~r1"
    assert 0 == tick("queue", "forget", "orders", "default~r1", "--json")["ready"]
    assert ["default"] == [row.group for row in broker.stats("orders")]


def test_a_replay_that_nobody_began_is_refused(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A consumer doesn't make a replay's group by joining it; it says which command does."""
    code = run(["consume", "worker_replay.py", "--group", "default~r9"])

    assert 2 == code
    assert "tickrelay queue replay orders --group default --as r9" in capsys.readouterr().err


def test_replays_are_named_and_begin_behind_a_position(broker: Broker, tick: Callable[..., Any]) -> None:
    """A second replay gets the next name, or the one given; `--after` leaves out what came before."""
    with broker.subscribe("orders") as subscription:
        deliveries = subscription.receive(3, 20)
        subscription.acknowledge(deliveries)
    lines = tick("queue", "replay", "orders").splitlines()
    assert "tickrelay consume TARGET --group default~r1 --until-empty 5" == lines[0]
    assert "default~r2" == tick("queue", "replay", "orders", "--json")["group"]
    last = deliveries[-1].position
    behind = tick("queue", "replay", "orders", "--as", "late", "--after", last, "--json")
    assert ("default~late", 0) == (behind["group"], behind["ready"])
    for name in ("r1", "r2", "late"):
        tick("queue", "forget", "orders", f"default~{name}", "--yes")


def test_the_table_of_capabilities_is_true_of_redis(broker: Broker) -> None:
    """With a durable server and a retention, Redis can do what the reference says."""
    assert asdict(broker.capabilities) == shown("Redis")
