# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One cell: consumers and publishers die at one failpoint after the other while messages flow; then the history is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.brokers.history import Tail, read
from tests.chaos.campaign.crew import Roster, Seat
from tests.chaos.campaign.judging import History, judge
from tests.chaos.campaign.placing import Place, place
from tests.chaos.campaign.plan import CHILDREN, PUBLISHING, QUEUE, Cell
from tests.chaos.campaign.publisher import Pace
from tests.chaos.campaign.reading import read_history, repeated
from tests.chaos.campaign.reporting import Report

from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.errors import ServiceError
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter

LIMITS = {"batch": 16, "prefetch": 64, "workers": 2, "grace": 5.0}
PATIENCE, LONG_PATIENCE = 3.0, 10.0
"""Seconds until a process that doesn't come to its point is killed where it is; long with Kafka and child processes."""
IDLE = 0.5
"""Seconds without a death after which some more messages are let through."""


class Run:
    """One run of one cell."""

    def __init__(self, cell: Cell, place: Place, say: Callable[[str], None] = lambda _: None) -> None:
        self._cell = cell
        self._place = place
        self._say = say
        self._began = time.monotonic()
        self.report = Report(cell)
        self._pace = Pace(place.folder)
        self._allowed = 0
        self._dead: list[str] = []
        self._reasons: list[str] = []
        self._roster = Roster(cell.points, cell.each)
        self._consumed = Tail(place.folder / "consumer.jsonl")
        own = {
            "folder": str(place.folder),
            "broker": place.broker,
            "ledger": place.store.url,
            "effect": cell.effect,
            "plant": cell.plant,
            "batch": cell.batch,
            "in_children": cell.children,
            "limits": {**LIMITS, "lease": cell.lease, "workers": cell.threads},
        }
        self._publisher = Seat(
            place.forge, {**own, "kind": "publisher", "seed": cell.seed}, self._choose_publishing
        )
        self._consumers = [
            Seat(place.forge, {**own, "kind": "consumer", "seed": cell.seed + number}, self._choose)
            for number in range(1, cell.workers + 1)
        ]

    def run(self) -> Report:
        """Kill, heal, drain, judge."""
        self._allow(self._cell.share)
        self._check_depth()
        for seat in self._consumers:
            seat.begin(armed=bool(self._cell.kills))
        self._strike()
        self._heal()
        self._drain()
        self._leave()
        self._judge()
        self.report.seconds = round(time.monotonic() - self._began, 1)
        return self.report

    def _choose(self) -> str:
        taken = {
            seat.point for seat in self._consumers if seat.pid and self._place.forge.code(seat.pid) is None
        }
        return self._roster.next(lambda name: name not in PUBLISHING and name not in taken)

    def _choose_publishing(self) -> str:
        return self._roster.next(lambda name: name in PUBLISHING)

    def _allow(self, more: int, *, last: bool = False) -> None:
        self._allowed += more
        self._pace.allow(self._allowed, last=last)

    def _check_depth(self) -> None:
        """Nobody consumes yet: the depth that the broker tells must be what was confirmed."""
        self._publisher.begin(armed=False)
        self._await(lambda: len(self._confirmed()) == self._allowed, "the first messages are confirmed")
        with open_broker(self._place.broker) as broker:
            told = sum(row.ready for row in broker.stats(QUEUE))
        if told != self._allowed:
            self.report.wrong.append(f"depth told {told}, true {self._allowed}")
        if self._cell.kills:
            self._publisher.leave()
            self._publisher.begin()

    def _confirmed(self) -> set[str]:
        return set(read(self._place.folder, "confirmed", "publisher.jsonl"))

    def _strike(self) -> None:
        cell, last = self._cell, time.monotonic()
        seats = [*self._consumers, self._publisher]
        share, every = (max(1, cell.kills // (kills + 1)) for kills in (cell.broker_kills, cell.ledger_kills))
        while self._is_missing():
            for seat in seats:
                death = seat.death(self._patience())
                if death is not None:
                    self._note(death)
                    seat.begin()
                    self._allow(cell.share)
                    last = time.monotonic()
            if time.monotonic() - last > IDLE:
                self._allow(max(1, cell.share // 2))
                last = time.monotonic()
            if self.report.broker_kills < min(cell.broker_kills, self.report.kills // share):
                self._kill_broker()
            if self.report.ledger_kills < min(cell.ledger_kills, self.report.kills // every):
                self.report.ledger_kills += self._place.store.crash()
            if time.monotonic() - self._began > cell.deadline or self.report.kills > 3 * cell.kills + 100:
                self.report.incomplete = "not all kills before the deadline"
                return
            self._place.forge.watch(0.02)

    def _patience(self) -> float:
        """Longer the more were killed in vain: so slow is this machine."""
        slow = self._cell.broker == "kafka" or self._cell.children
        return (LONG_PATIENCE if slow else PATIENCE) * (1 + self._roster.others["a moment"] // 20)

    def _is_missing(self) -> bool:
        """Kills, or hits of a point."""
        if self._cell.children:
            struck = [row["point"] for row in self._consumed.rows() if row["kind"] == "struck"]
            self.report.struck.update(point for point in struck if point in CHILDREN)
        few = any(self._roster.hits[name] < self._cell.each for name in self._cell.points)
        return self.report.kills < self._cell.kills or few or bool(self.report.spared())

    def _note(self, death: str) -> None:
        self._roster.count(death)
        self.report.hits, self.report.others = self._roster.hits, self._roster.others
        if not self.report.kills % 50:
            self._say(f"{self._cell.name}: {self.report.kills} kills, {self._allowed:,} messages")

    def _kill_broker(self) -> None:
        if self._place.node is not None:
            self._place.node.kill()
            time.sleep(0.3)
            self._place.node.start_again()
        self.report.broker_kills += 1

    def _heal(self) -> None:
        """From now on nobody dies; who was armed is replaced."""
        for seat in (*self._consumers, self._publisher):
            if seat.point or self._place.forge.code(seat.pid) is not None:
                self._place.forge.signal(seat.pid, 9)
                self._place.forge.wait(seat.pid)
                seat.begin(armed=False)
        self._allow(max(0, self._cell.messages - self._allowed), last=True)

    def _drain(self) -> None:
        """Until everything confirmed has come to its end, or nothing moves any more."""
        self._await(lambda: self._place.forge.code(self._publisher.pid) is not None, "all is published")
        ledger = open_ledger(self._place.store.url)
        with ledger, open_broker(self._place.broker) as broker:
            wanted = len(self._confirmed())

            def left() -> dict[str, int]:
                try:
                    (row,) = ledger.history.stats()
                    ready = sum(one.ready + (one.in_flight or 0) for one in broker.stats(QUEUE))
                except ServiceError as error:
                    return {f"can't be asked: {error}": 1}
                found = {"queue": ready, "claimed": row.claimed, "waiting": row.waiting}
                found["not ended"] = wanted - row.done - row.dead - row.discarded
                return {name: count for name, count in found.items() if count}

            self._await(lambda: not left(), "all is done", left)
            self.report.left = left()
            dead = ledger.dead_letters.list(DeadFilter(), limit=100_000)
            self._dead, self._reasons = [one.message_id for one in dead], [one.reason for one in dead]

    def _await(
        self, condition: Callable[[], bool], what: str, progress: Callable[[], Any] = lambda: None
    ) -> None:
        seen, since = progress(), time.monotonic()
        while not condition():
            now = progress()
            if now != seen:
                seen, since = now, time.monotonic()
            over = time.monotonic() - self._began > self._cell.deadline + self._cell.patience
            if over or time.monotonic() - since > self._cell.patience:
                self.report.wrong.append(f"not within {self._cell.patience:g} s: {what}")
                return
            self._replace_dead()
            time.sleep(0.02)

    def _replace_dead(self) -> None:
        """A consumer may give up; it is started again, as its supervisor would, and that is reported."""
        for seat in self._consumers:
            if seat.pid and not seat.point and (code := self._place.forge.code(seat.pid)) is not None:
                self.report.others[f"ended with code {code}"] += 1
                seat.begin(armed=False)

    def _leave(self) -> None:
        codes = [seat.leave() for seat in self._consumers]
        if any(codes):
            self.report.wrong.append(f"consumers ended with codes {codes}")

    def _judge(self) -> None:
        folder, report = self._place.folder, self.report
        external = self._cell.effect == "external"
        effects, grants, settles = read_history(folder)
        if not external:
            effects = self._place.store.effects()
        history = History(
            confirmed=self._confirmed(),
            tried=set(read(folder, "invoked", "publisher.jsonl")),
            effects=effects,
            dead=self._dead,
            grants=grants,
            settles=settles,
        )
        report.verdict = judge(history, external=external)
        report.confirmed, report.effects = len(set(history.confirmed)), len(effects)
        report.duplicates, report.dead = sum(report.verdict.duplicated.values()), len(self._dead)
        report.refused = sum(not one.accepted for one in settles)
        others = [
            reason for reason in self._reasons if reason != "poison"
        ]  # three lone deaths may be our doing
        if others:
            report.wrong.append(f"dead letters, though every handler succeeds in the end: {others[:10]}")
        report.again = repeated(folder)
        deaths = report.kills + sum(report.others.values()) + sum(report.struck.values())
        allowed = deaths * (LIMITS["prefetch"] + LIMITS["batch"])
        if external and report.duplicates > allowed:
            report.wrong.append(f"{report.duplicates} effects again, more than ever was in hand")


def run(cell: Cell, folder: Path, say: Callable[[str], None] = lambda _: None) -> Report:
    """One cell from its servers' start to its verdict."""
    with place(cell, folder) as found:
        return Run(cell, found, say).run()
