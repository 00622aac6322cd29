# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Contests: everybody in turn, round after round, so that a slow moment of the machine hits all of them."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.brokers.worker import Worker
from bench.report import OURS, Row

WARM_UP = 100
"""Messages before the first round: connections, first batches, code that is loaded late."""
FEWEST = 200


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    Attributes:
        function: `module:name` for `Worker`.
        share: the part of the messages it gets, where it is too slow for all of them.
        least: ours must be so many times as fast, or 0 where nothing was promised.
        needs: a package that not every environment has.
        rounds: at most so many; peers that are slower by far need no exact median.
    """

    what: str
    setting: str
    function: str
    share: float = 1.0
    least: float = 0.0
    needs: str = ""
    rounds: int = 100

    def number(self, whole: int) -> int:
        return max(FEWEST, round(whole * self.share))

    @property
    def is_here(self) -> bool:
        return not self.needs or importlib.util.find_spec(self.needs) is not None


@dataclass(slots=True)
class _Lane:
    contestant: Contestant
    worker: Worker
    rates: list[float] = field(default_factory=list)
    trouble: str = ""

    def run(self, number: int) -> float | None:
        """Messages a second; a peer that breaks is out of the race and doesn't end it."""
        if self.trouble:
            return None
        try:
            return number / self.worker.call(number)
        except RuntimeError as error:
            if not self.contestant.needs:
                raise
            self.trouble = str(error)
            return None


def contest(contestants: Sequence[Contestant], url: str, whole: int, rounds: int) -> list[Row]:
    """
    Race them; the first is ours.

    Args:
        whole: messages a round.
    """
    with _lanes([one for one in contestants if one.is_here], url) as lanes:
        for lane in lanes:
            lane.run(min(WARM_UP, lane.contestant.number(whole)))
        for number in range(rounds):
            # Every other round backwards: nobody always comes behind the same other.
            for lane in lanes if number % 2 else lanes[::-1]:
                if number < min(
                    lane.contestant.rounds, (rounds + 1) // 2 if lane.contestant.needs else rounds
                ) and (rate := lane.run(lane.contestant.number(whole))):
                    lane.rates.append(rate)
    missing = [one for one in contestants if not one.is_here]
    return [_row(lane, lanes[0]) for lane in lanes] + [
        _without(one, f"{one.needs} isn't installed") for one in missing
    ]


@contextmanager
def _lanes(contestants: Sequence[Contestant], url: str) -> Iterator[list[_Lane]]:
    lanes = [_Lane(one, Worker(one.function, url)) for one in contestants]
    try:
        yield lanes
    finally:
        for lane in lanes:
            lane.worker.close()


def _row(lane: _Lane, ours: _Lane) -> Row:
    one = lane.contestant
    if not lane.rates:
        return _without(one, lane.trouble)
    value = statistics.median(lane.rates)
    if lane is ours:
        return Row(OURS, one.setting, value, "/s")
    # Round by round: what slowed both down doesn't count.
    ratio = statistics.median(mine / other for mine, other in zip(ours.rates, lane.rates, strict=False))
    goal = f">= {one.least:g} x" if one.least else ""
    return Row(one.what, one.setting, value, "/s", goal, ratio >= one.least if goal else None, ratio)


def _without(one: Contestant, why: str) -> Row:
    return Row(one.what, why, float("nan"), "")
