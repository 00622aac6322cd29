# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay consume`: finds the consumer named, hands it the options, and says clearly why it can't."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tickrelay_consumer import Consumer
from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.message import Message

WORKER = """
from pathlib import Path
from tickrelay_consumer import Consumer
consumer = Consumer()
other = 7

@consumer.handler("orders")
def sync_order(message, ctx):
    with Path("effects").open("a") as file:
        file.write(f"{message.data}\\n")
"""
MAIN = "from tickrelay_consumer.commands import main; main()"


@pytest.fixture
def worker(place: Path) -> Path:
    """A file with a consumer in it."""
    file = place / "worker_file.py"
    file.write_text(WORKER)
    return file


@pytest.fixture(autouse=True)
def forget_modules() -> Any:
    """What a test has imported doesn't stay, and neither do its search paths."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("worker_", "tickrelay_target_")):
            del sys.modules[name]


def test_messages_are_carried_out_until_sigterm(worker: Path, broker: Broker, place: Path) -> None:
    """A consumer named by file works, logs JSON lines, and stops on SIGTERM with exit code 0."""
    broker.publish("orders", [Message.of(1), Message.of(2)])
    line = [sys.executable, "-c", MAIN, "consume", "worker_file.py:consumer", "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 15
            while _effects(place) != ["1", "2"] and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=15)
        finally:
            process.kill()

    assert (["1", "2"], 0) == (_effects(place), process.returncode), err
    assert "consuming" in [json.loads(one)["event"] for one in out.splitlines()]


def _effects(place: Path) -> list[str]:
    file = place / "effects"
    return sorted(file.read_text().split()) if file.exists() else []


@pytest.mark.parametrize("target", ["worker_file:consumer", "worker_file.py:consumer", "./worker_file.py"])
def test_options_reach_the_consumer(
    tick: Any, worker: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """By module, by file, or without an attribute: the consumer runs, configured by the options given."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(Consumer, "configure", lambda _self, **given: seen.update(given))
    monkeypatch.setattr(Consumer, "run", lambda _self, **given: seen.update(given) or 3)

    assert (
        3
        == tick("consume", target, "--group", "billing", "--workers", "9", "--broker", "sqlite:///x.db").code
    )
    assert ("billing", "sqlite:///x.db", 9) == (seen["group"], seen["broker"], seen["limits"].workers)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere.py:consumer", "there is no such file"),
        ("nowhere_at_all:consumer", "no module nowhere_at_all"),
        ("worker_file.py:missing", "no attribute missing; its consumers are: consumer"),
        ("worker_file.py:other", "of type int, not a Consumer"),
        ("worker_file.py:Consumer", "the class Consumer, not a Consumer"),
        ("worker_broken.py:consumer", "ZeroDivisionError: division by zero (worker_broken.py:2)"),
        ("worker_import.py:consumer", "No module named 'nothing_like_this'"),
        ("worker_empty.py:consumer", "no handler"),
        (":consumer", "write package.module:attribute"),
        (".:consumer", "no module ."),
    ],
)
def test_bad_target_is_one_clear_line(tick: Any, worker: Path, place: Path, target: str, reason: str) -> None:
    """Whatever is wrong with the target: exit code 2, one line, no stack."""
    (place / "worker_broken.py").write_text("x = 1\n1 / 0\n")
    (place / "worker_import.py").write_text("import nothing_like_this\n")
    (place / "worker_empty.py").write_text("from tickrelay_consumer import Consumer\nconsumer = Consumer()\n")
    answer = tick("consume", target)

    assert (2, 1) == (answer.code, answer.err.count("\n")), answer
    assert reason in answer.err


def test_file_named_like_a_known_module(tick: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called `queue.py` is run without replacing the standard library's module."""
    import queue

    (place / "queue.py").write_text(WORKER)
    monkeypatch.setattr(Consumer, "run", lambda _self, **_: 0)

    assert 0 == tick("consume", "queue.py").code
    assert queue is sys.modules["queue"]


def test_bad_option_before_anything_is_imported(tick: Any, worker: Path) -> None:
    """A setting that isn't allowed is told before the consumer's code runs."""
    answer = tick("consume", "nowhere.py", "--http", "nonsense")

    assert 2 == answer.code
    assert "--http: must be HOST:PORT" in answer.err
