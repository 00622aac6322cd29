# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What else happens to hosts and servers; each function returns what was wrong by name, nothing if all held."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.campaign.judging import Settle
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.scenes import PATIENT, Scene, scene, side_by_side, until, zombie

HOUR = 3600.0
LATE = range(10, 210, 10)
"""Numbers of messages that the ledger keeps for a moment."""


def zombies(
    folder: Path, ledger: str, effect: str, *, rounds: int = 1
) -> tuple[list[Settle], dict[str, Any]]:
    """
    Consumers stopped past their lease and let go on.

    Returns:
        the results they then brought, and what was wrong. (In SQLite, who stands still inside a transaction keeps
        everybody waiting: there only `external`.)
    """
    with scene(Cell(ledger=ledger, effect=effect), folder) as lab:
        brought = [one for at in range(rounds) for one in zombie(lab, [20 * at + 10, 20 * at + 20])]
        return brought, lab.faults()


def wrong_clock(folder: Path, ahead: float) -> dict[str, Any]:
    """One consumer's host is ahead, or behind; the ledger's server (PostgreSQL) is right."""
    with scene(Cell(ledger="postgresql", lease=PATIENT), folder) as lab:
        return side_by_side(lab, ahead)


def jumping_clock(folder: Path) -> dict[str, Any]:
    """SQLite has the host's clock: a process an hour ahead takes others for dead, and what it parks waits that long."""
    with scene(Cell(), folder) as lab:
        right, ahead = lab.consumer(pause=0.005), lab.consumer(pause=0.005, clock=HOUR)
        until(lab.ledger.history.consumers)
        lab.publish(range(100))
        until(lambda: lab.done() >= 50)
        lab.place.forge.signal(ahead, signal.SIGKILL)
        settled = until(lambda: lab.done() + lab.waiting() == len(lab.ids))
        settled = settled and until(lambda: len(lab.verdict().lost) == lab.waiting())
        wrong = {name: found for name, found in lab.faults().items() if name != "lost"}
        lab.leave(right)
        return wrong | ({} if settled else {"lost": lab.verdict().lost})


def full_disk(folder: Path) -> dict[str, Any]:
    """A consumer can't write another byte to SQLite; then there is room again."""
    with scene(Cell(), folder) as lab:
        size = max(path.stat().st_size for path in folder.rglob("*.db*"))
        cramped = lab.consumer(fsize=size + 40_000)
        lab.publish(range(300))
        noticed = until(lambda: b"trying again" in _log(lab)) and not lab.is_over()
        lab.place.forge.signal(cramped, signal.SIGKILL)
        roomy = lab.consumer()
        wrong = lab.ended()
        lab.leave(roomy)
        return wrong | ({} if noticed else {"the disk": "was never full"})


def flushed(folder: Path) -> tuple[int, str]:
    """
    FLUSHALL on a Redis ledger at work.

    Returns:
        the consumer's exit code, and what it says is lost.
    """
    with scene(Cell(ledger="redis", effect="external"), folder) as lab:
        consumer = lab.consumer(pause=0.1)
        assert until(lab.ledger.history.consumers)
        lab.publish(LATE)
        lab.publish(range(1000, 1100, 10), HOUR)
        assert until(lambda: lab.granted() and lab.waiting() >= 10)
        with lab.place.store.server.client() as bare:
            bare.flushall()
        code = lab.place.forge.wait(consumer)
        told = [line for line in _log(lab).decode().splitlines() if "Lost, as last seen here: " in line]
        return code, told[0].partition("Lost, as last seen here: ")[2].partition(". ")[0] if told else ""


def _log(lab: Scene) -> bytes:
    return (lab.place.folder / "log").read_bytes()


def accepted(brought: Sequence[Settle]) -> list[Settle]:
    """Results of zombies that counted, though they mustn't."""
    return [one for one in brought if one.accepted and one.verdict == "done"]
