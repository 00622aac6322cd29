# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How long it takes until another carries on: after a host's death, and after a child process's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.chaos.brokers.history import Tail
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.scenes import KEPT, Scene, scene, until


def after_host(folder: Path, ledger: str, *, lease: float, rounds: int = 1) -> list[float]:
    """
    A consumer stands still for good, as a host does that is gone.

    Returns:
        seconds from then until another is given the first of its messages, a round each.
    """
    with scene(Cell(ledger=ledger, lease=lease, effect="external"), folder) as lab:
        return [_stand_still(lab, range(100 * at + 10, 100 * at + 100, 10)) for at in range(rounds)]


def _stand_still(lab: Scene, numbers: range) -> float:
    before = lab.granted()
    gone = lab.consumer(pause=60.0)
    assert until(lambda: len(lab.ledger.history.consumers()) == 1), "the first consumer never came"
    lab.publish(numbers, KEPT)
    assert until(lambda: lab.granted() >= before + len(numbers)), "not all was claimed"
    heir = lab.consumer()
    assert until(lambda: len(lab.ledger.history.consumers()) == 2), "the heir never came"
    held = lab.granted()
    lab.place.forge.signal(gone, signal.SIGSTOP)
    began = time.monotonic()
    assert until(lambda: lab.granted() > held, 20 * lab.cell.lease), "nobody took over"
    seconds = time.monotonic() - began
    assert until(lab.is_over), "the rest was never done"
    lab.place.forge.signal(gone, signal.SIGKILL)
    lab.leave(heir)
    assert until(lambda: not lab.ledger.history.consumers()), "they never left"
    return seconds


def after_child(folder: Path, *, rounds: int = 1) -> list[float]:
    """
    A child process is killed in mid-work, its consumer lives.

    Returns:
        seconds from then until its message is begun again, a round each.
    """
    with scene(Cell(effect="external"), folder) as lab:
        consumer = lab.consumer(in_children=True, pause=1.5, told=True)
        seconds = [_kill_child(lab, 10 * at + 2) for at in range(rounds)]
        lab.leave(consumer)
        assert {} == lab.faults()
        return seconds


def _kill_child(lab: Scene, number: int) -> float:
    def begun() -> list[dict[str, Any]]:
        rows = Tail(lab.place.folder / "consumer.jsonl").rows()
        return [row for row in rows if row["kind"] == "began" and row["ids"] == [f"m{number}"]]

    lab.publish([number])
    assert until(begun), "its handler was never called"
    (first,) = begun()
    os.kill(first["pid"], signal.SIGKILL)
    killed = time.monotonic()
    assert until(lambda: len(begun()) > 1), "nobody began it again"
    seconds: float = begun()[1]["at"] - killed
    assert until(lab.is_over), "it was never done"
    return seconds
