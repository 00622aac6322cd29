# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A broker is killed again and again while messages flow; afterwards the histories are compared, id by id.

The moments are chosen by progress: a kill each time another share of the messages is confirmed, so that each finds the
publisher at work; with whole consumers, each time another share has its effect. Every other time the server stays away
until the publisher has noticed.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from tests.chaos.brokers.crew import Consumers, Crew, Publishing, Receivers
from tests.chaos.brokers.history import read
from tests.chaos.brokers.nodes import Node, running, slowed
from tests.chaos.checker import Finding, check

from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.errors import ServiceError

QUEUE = "campaign"
LOOK = 0.005
STALLED = 60.0
"""Seconds without any progress, all servers up, after which what is missing counts as lost."""
MOST_DEATHS = 20
"""Of our own processes, which a dead broker is no reason for."""
NOTICING = 15.0
"""Longest time in seconds that a server stays away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    Attributes:
        whole: consumers with a ledger instead of bare subscriptions.
        call: most messages in one call of `publish`.
        deadline: seconds for everything.
        slow: behind toxiproxy; redis and rabbitmq.
    """

    broker: str
    messages: int
    kills: int
    seed: int = 1
    whole: bool = False
    call: int = 1000
    deadline: float = 1800.0
    slow: bool = False


@dataclass(slots=True, kw_only=True)
class Report:
    """
    Attributes:
        named: ids that an error named as unconfirmed, once for each time.
        refused: calls of which the error said that nothing was sent.
        ended: deliveries, or effects.
        duplicates: deliveries or effects beyond the first.
        left: messages the broker still shows as ready when all is received; None if it can't be asked.
        deaths: processes of ours that ended before their time.
        longest_gap: most seconds without a delivery or effect.
    """

    plan: Plan
    kills: int = 0
    confirmed: int = 0
    named: int = 0
    refused: int = 0
    ended: int = 0
    distinct: int = 0
    duplicates: int = 0
    lost: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    left: int | None = None
    deaths: list[str] = field(default_factory=list)
    seconds: float = 0.0
    longest_gap: float = 0.0
    over: str = ""

    @property
    def is_good(self) -> bool:
        """Nothing lost or foreign, everything killed and confirmed as planned, nothing left; effects are there once."""
        complete = (self.kills, self.confirmed) == (self.plan.kills, self.plan.messages)
        clean = not (self.lost or self.foreign or self.left or self.deaths or self.over)
        return complete and clean and not (self.plan.whole and self.duplicates)

    def lines(self) -> list[str]:
        """For people."""
        shown = {
            name: value for name, value in asdict(self).items() if name not in ("plan", "lost", "foreign")
        }
        rows = {**asdict(self.plan), **shown, "lost": len(self.lost), "foreign": len(self.foreign)}
        rows["lost_ids"] = self.lost[:10]
        return [f"{name:12} {value}" for name, value in rows.items()]


class Campaign:
    """One run in one folder."""

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._began = time.monotonic()
        self._report = Report(plan=plan)
        self._moved = (0, self._began)
        self._at_kill = -1

    def run(self) -> Report:
        """To the end, or to the deadline; whatever was started is stopped then."""
        with running(self._plan.broker, self._folder) as node, ExitStack() as stack:
            if self._plan.slow:
                stack.enter_context(slowed(node, self._folder))
            self._prepare(node)
            settings: dict[str, object] = {"url": node.url, "queue": QUEUE}
            crew: Crew = (Consumers if self._plan.whole else Receivers)(self._folder, settings)
            self._wait_ready(crew)
            orders = {"messages": self._plan.messages, "seed": self._plan.seed, "call": self._plan.call}
            publishing = Publishing(self._folder, {**settings, **orders})
            try:
                self._strike(node, publishing, crew)
                self._drain(publishing, crew)
                self._report.left = self._left(node)
            finally:
                publishing.stop()
                crew.stop()
        self._judge(crew)
        self._report.seconds = round(time.monotonic() - self._began, 1)
        return self._report

    def _prepare(self, node: Node) -> None:
        with open_broker(node.url) as broker:
            broker.declare(QueueSpec(QUEUE))
        node.declared()

    def _wait_ready(self, crew: Crew) -> None:
        """A consumer that starts while its broker is away ends with an error, as it should."""
        deadline = time.monotonic() + STALLED
        while not crew.is_ready() and time.monotonic() < deadline:
            time.sleep(LOOK)

    def _strike(self, node: Node, publishing: Publishing, crew: Crew) -> None:
        dice, kills = random.Random(self._plan.seed), self._plan.kills
        step = self._plan.messages / (kills + 1)
        for number in range(kills):
            at = step * (number + dice.uniform(0.3, 1.0))
            if not self._wait(publishing, crew, partial(self._is_time, at, publishing, crew)):
                return
            failures, self._at_kill = publishing.failures, crew.progress()
            node.kill()
            self._report.kills += 1
            if number % 2 and not publishing.is_over():
                self._wait(publishing, crew, lambda was=failures: publishing.failures > was, NOTICING)
            node.start_again()
            self._say(f"kill {number + 1}: {publishing.confirmed:,} confirmed, {crew.progress():,} ended")

    def _is_time(self, at: float, publishing: Publishing, crew: Crew) -> bool:
        """
        By what is confirmed; whole consumers, which are slower, by their effects.

        Something must have come to its end since the last kill, so that each interrupts work.
        """
        ended = crew.progress()
        if (ended if self._plan.whole else publishing.confirmed) < at:
            return False
        return ended != self._at_kill or ended >= self._plan.messages

    def _drain(self, publishing: Publishing, crew: Crew) -> None:
        self._wait(publishing, crew, publishing.is_over)
        wanted = len(set(read(self._folder, "confirmed")))
        # Cheap first: the count of ends can't be less than that of ids.
        self._wait(
            publishing,
            crew,
            lambda: crew.progress() >= wanted and len(set(crew.ended())) >= wanted,
        )
        self._report.deaths += ["the publisher died"] if publishing.died() else []

    def _wait(
        self, publishing: Publishing, crew: Crew, condition: Callable[[], bool], within: float | None = None
    ) -> bool:
        """Until the condition holds; False if time is over, or nothing moves any more."""
        until = time.monotonic() + (self._plan.deadline if within is None else within)
        while not condition():
            publishing.look()
            now = self._note_progress(publishing.confirmed + crew.progress())
            self._report.deaths += crew.watch()
            hopeless = now - self._moved[1] > STALLED or len(self._report.deaths) > MOST_DEATHS
            if hopeless or now > min(until, self._began + self._plan.deadline):
                self._report.over = self._report.over or ("" if within else "ended before all had come")
                return False
            time.sleep(LOOK)
        return True

    def _note_progress(self, progress: int) -> float:
        now, (before, since) = time.monotonic(), self._moved
        if progress != before:
            self._report.longest_gap = round(max(self._report.longest_gap, now - since), 1)
            self._moved = (progress, now)
        return now

    def _left(self, node: Node) -> int | None:
        """Acknowledgements may still be on their way: asked until nothing is left, for a while."""
        deadline, left = time.monotonic() + 2 * STALLED, None
        with open_broker(node.url) as broker:
            while left != 0 and time.monotonic() < deadline:
                try:
                    left = sum(row.ready for row in broker.stats(QUEUE))
                except ServiceError as error:
                    self._say(f"can't ask for the rest: {error}")
                time.sleep(0.1)
        return left

    def _judge(self, crew: Crew) -> None:
        """By the independent checker, from what was written down."""
        report, ended = self._report, crew.ended()
        finding = judge(self._folder, ended)
        report.confirmed = len(set(read(self._folder, "confirmed")))
        report.named = len(read(self._folder, "named"))
        report.refused = len(read(self._folder, "refused"))
        report.ended, report.distinct = len(ended), len(set(ended))
        report.duplicates = sum((Counter(ended) - Counter(set(ended))).values())
        report.lost, report.foreign = sorted(finding.lost), sorted(finding.foreign)


def judge(folder: Path, ended: list[str]) -> Finding:
    """Lost: confirmed, without an end. Foreign: an end of what nobody tried to publish."""
    lost = check(read(folder, "confirmed"), ended).lost
    strict = check(read(folder, "invoked"), ended)
    return Finding(lost, strict.duplicated, strict.foreign, frozenset())
