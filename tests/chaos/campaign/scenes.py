# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Short scenes in which one thing happens at a moment of our choice: a zombie returns, a consumer leaves."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.campaign.cell import LIMITS
from tests.chaos.campaign.handling import FAILING
from tests.chaos.campaign.judging import History, Settle, Verdict, judge
from tests.chaos.campaign.placing import Place, place
from tests.chaos.campaign.plan import QUEUE, Cell
from tests.chaos.campaign.publisher import make
from tests.chaos.campaign.reading import read_history

from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.ledger import Ledger, open_ledger
from tickrelay_messaging.ledger.records import DeadFilter, DeadLetter

LONG = 90.0
"""Seconds: a busy machine isn't a fault."""
PATIENT = 30.0
"""A lease in seconds that no busy machine overruns."""
KEPT = 2.0
"""Seconds after which messages are due that the ledger must have, so that the broker holds nobody up."""


class Scene:
    """One queue, one ledger, consumers as processes."""

    def __init__(self, cell: Cell, place: Place, ledger: Ledger) -> None:
        self.cell = cell
        self.place = place
        self.ledger = ledger
        self.ids: list[str] = []

    def publish(self, numbers: Iterable[int], soon: float = 0.3) -> None:
        """The messages of these numbers; every tenth is due only `soon`, some fail once."""
        messages = [make(number, soon) for number in numbers]
        with open_broker(self.place.broker) as broker:
            broker.publish(QUEUE, messages)
        self.ids += [message.id for message in messages]

    def consumer(self, **settings: Any) -> int:
        """One more; its pid."""
        limits = {**LIMITS, "lease": self.cell.lease, **settings.pop("limits", {})}
        return self.place.forge.start(
            {
                "folder": str(self.place.folder),
                "broker": self.place.broker,
                "ledger": self.place.store.url,
                "effect": self.cell.effect,
                "plant": self.cell.plant,
                "kind": "consumer",
                "limits": limits,
                **settings,
            }
        )

    def leave(self, pid: int) -> int:
        """SIGTERM; its exit code."""
        self.place.forge.signal(pid, signal.SIGTERM)
        return self.place.forge.wait(pid)

    def granted(self) -> int:
        """Claims given so far."""
        return len(read_history(self.place.folder)[1])

    def settles(self) -> list[Settle]:
        """Results brought to the ledger so far."""
        return read_history(self.place.folder)[2]

    def done(self) -> int:
        """By the ledger's count."""
        return sum(row.done for row in self.ledger.history.stats())

    def waiting(self) -> int:
        """By the ledger's count."""
        return sum(row.waiting for row in self.ledger.history.stats())

    def dead(self) -> list[DeadLetter]:
        """Dead letters."""
        return self.ledger.dead_letters.list(DeadFilter(), limit=1000)

    def is_over(self) -> bool:
        """Everything published is done or dead."""
        return self.done() + len(self.dead()) >= len(self.ids)

    def ended(self, within: float = LONG) -> dict[str, Any]:
        """Once all has ended: what is wrong by name."""
        wrong: dict[str, Any] = {} if until(self.is_over, within) else {"only done": self.done()}
        return wrong | self.faults()

    def verdict(self) -> Verdict:
        """Over everything that happened."""
        external = self.cell.effect == "external"
        effects, grants, settles = read_history(self.place.folder)
        history = History(
            confirmed=self.ids,
            tried=self.ids,
            effects=effects if external else self.place.store.effects(),
            dead=[one.message_id for one in self.dead()],
            grants=grants,
            settles=settles,
        )
        return judge(history, external=external)

    def faults(self) -> dict[str, Any]:
        """What is wrong by name."""
        return self.verdict().faults(external=self.cell.effect == "external")


@contextmanager
def scene(cell: Cell, folder: Path) -> Iterator[Scene]:
    """For as long as the block lasts."""
    with place(cell, folder) as found, open_ledger(found.store.url) as ledger:
        yield Scene(cell, found, ledger)


def until(condition: Callable[[], object], within: float = LONG) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def zombie(scene: Scene, numbers: Sequence[int] = (10, 20)) -> list[Settle]:
    """
    A consumer stands still in mid-work past its lease, another takes over, the first wakes up and brings its results.

    Args:
        numbers: of two messages such as the ledger keeps, so that no broker holds them back meanwhile.

    Returns:
        what it brought.
    """
    before = scene.granted()
    first = scene.consumer(pause=0.5, limits={"workers": 2})
    assert until(scene.ledger.history.consumers), "the first consumer never came"
    scene.publish(numbers, KEPT)
    assert until(lambda: scene.granted() >= before + 2), "nothing was claimed"
    scene.place.forge.signal(first, signal.SIGSTOP)
    held = scene.granted()
    second = scene.consumer(pause=1.0)
    assert until(lambda: scene.granted() > held), "nobody took over"
    scene.place.forge.signal(first, signal.SIGCONT)
    until(lambda: len(_of(first, scene)) >= 2, 20.0)
    found = _of(first, scene)
    scene.place.forge.signal(first, signal.SIGKILL)
    until(scene.is_over)
    scene.leave(second)
    return found


def side_by_side(
    scene: Scene, ahead: float = 0.0, within: float = LONG, pause: float = 0.005
) -> dict[str, Any]:
    """
    Two consumers at work, neither of which dies or stands still; returns what was wrong by name.

    Args:
        ahead: by so many seconds one's clock is wrong.
        pause: seconds that each message takes.
    """
    pids = [scene.consumer(pause=pause), scene.consumer(pause=pause, clock=ahead)]
    wrong = {} if until(lambda: len(scene.ledger.history.consumers()) == 2, within) else {"never came": pids}
    scene.publish(range(200))
    wrong |= scene.ended(within)
    attempts = len(scene.ids) + sum(number % FAILING == 1 for number in range(200))
    wrong |= {"taken for dead": scene.granted() - attempts} if scene.granted() != attempts else {}
    codes = [scene.leave(pid) for pid in pids]
    return wrong | ({"codes": codes} if any(codes) else {})


def _of(pid: int, scene: Scene) -> list[Settle]:
    return [one for one in scene.settles() if one.pid == pid]


def leaving(scene: Scene, within: float = LONG) -> tuple[int, float]:
    """A consumer is told to leave with much in hand, and another does the rest; returns its exit code and how long."""
    scene.publish(range(2, 62))
    first = scene.consumer(pause=0.05)
    assert until(lambda: scene.granted() > 30)
    began = time.monotonic()
    code = scene.leave(first)
    seconds = time.monotonic() - began
    second = scene.consumer()
    until(scene.is_over, within)
    scene.leave(second)
    return code, seconds
