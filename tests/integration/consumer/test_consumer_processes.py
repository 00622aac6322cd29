# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Whole consumers with handlers in child processes, started as a person starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from consumer_lab import Lab, until

from tickrelay_consumer import Message
from tickrelay_messaging.brokers import QueueSpec

SCRIPT = Path(__file__).with_name("process_handlers.py")
STARTS = {
    "python": [sys.executable, str(SCRIPT)],
    "tickrelay": [str(Path(sys.executable).with_name("tickrelay")), "consume", f"{SCRIPT}:consumer"],
}


@contextmanager
def consuming(lab: Lab, start: str) -> Iterator[subprocess.Popen[bytes]]:
    urls = {f"TICKRELAY_{name.upper()}": url for name, url in lab.urls.items()}
    env = os.environ | urls | {"PROCESS_HANDLERS_FOLDER": str(lab.folder)}
    process = subprocess.Popen(STARTS[start], env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids(lab: Lab) -> set[int]:
    file = lab.folder / "effects"
    return {int(line.split()[2]) for line in file.read_text().splitlines()} if file.exists() else set()


@pytest.mark.parametrize("start", STARTS)
def test_children_carry_everything_out(lab: Lab, start: str) -> None:
    """As a script and by the command: a hanging message is killed twice and dead, and none is lost."""
    ids = lab.publish(*(Message.of("hang" if n == 3 else n) for n in range(60)))
    with consuming(lab, start) as process:
        until(lambda: lab.done("take") == 59 and lab.dead(), "59 done, 1 dead", 60)
        assert process.pid not in pids(lab)
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(30)
    assert Counter([*ids, ids[3]]) == Counter(lab.effects())
    assert "HandlerTimeout" in lab.dead()[0].error
    until(lambda: not any(map(is_there, pids(lab))), "no child is left")


def test_a_child_remembers_its_steps(lab: Lab) -> None:
    """The consumer asks the ledger for it: whichever child has the next attempt doesn't charge again."""
    lab.broker.declare(QueueSpec("payments"))
    ids = lab.publish(*(Message.of(n) for n in range(5)), queue="payments")
    with consuming(lab, "python"):
        until(lambda: len(lab.dead()) == 5, "all have failed four times", 60)
    assert Counter(ids) == Counter(lab.effects("charge"))
    assert {4} == {letter.attempts for letter in lab.dead()}


def test_a_killed_consumer_leaves_no_child(lab: Lab) -> None:
    """SIGKILL for the consumer ends its children in the middle of their work."""
    lab.publish(Message.of("hang"), Message.of("hang"))
    with consuming(lab, "python") as process:
        until(lambda: len(pids(lab)) == 2, "two children work", 60)
        process.kill()
        until(lambda: not any(map(is_there, pids(lab))), "they are gone")
