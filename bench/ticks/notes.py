# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What contestants write down, a line an effect: the tick's instant and when its work began, both Unix seconds.

A contestant whose jobs don't know their instant writes `-`, and its effects are counted by the second they fall in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figures:
    """
    One contestant in one span of time.

    Attributes:
        ticks: how many there were by the clock.
        late: seconds from instant to work, sorted; empty if nobody knows.
        longest_gap: most seconds between two effects.
    """

    ticks: int
    late: list[float]
    missed: int
    doubled: int
    longest_gap: float

    def quantile(self, share: float) -> float:
        """Seconds; not a number if nobody knows."""
        if not self.late:
            return float("nan")
        return self.late[min(len(self.late) - 1, int(len(self.late) * share))]


def figures(path: Path, since: float, until: float, every: int) -> Figures:
    """Of the ticks in [since, until), one every so many seconds."""
    expected = [second for second in range(int(since), int(until)) if second % every == 0]
    effects = _effects(path)
    counts = Counter(int(tick if tick is not None else began) for tick, began in effects)
    wanted = set(expected)
    mine = [(tick, began) for tick, began in effects if int(began if tick is None else tick) in wanted]
    return Figures(
        ticks=len(expected),
        late=sorted(began - tick for tick, began in mine if tick is not None),
        missed=sum(counts[second] == 0 for second in expected),
        doubled=sum(counts[second] > 1 for second in expected),
        longest_gap=_longest_gap(sorted(began for _, began in mine)),
    )


def _longest_gap(began: Sequence[float]) -> float:
    return max((later - earlier for earlier, later in pairwise(began)), default=float("nan"))


def _effects(path: Path) -> list[tuple[float | None, float]]:
    lines = path.read_text().splitlines() if path.exists() else []
    parts = [line.split() for line in lines]
    return [(None if tick == "-" else float(tick), float(began)) for tick, began in parts]
