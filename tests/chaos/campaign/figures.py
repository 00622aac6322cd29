# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the campaign measured: a line of JSON for each part that has ended, and the table made of them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
ROWS = {
    "SIGKILLs": "SIGKILLs, and the fewest at any one failpoint",
    "messages": "messages, and what became of them",
    "zombie": "zombie: its results are refused",
    "takeover": "takeover after a death",
    "faults": "what else happens to servers and hosts: nothing lost",
    "flushed": "Redis FLUSHALL: noticed, told, stopped",
    "batches": "batched `external` handlers killed: at most the batch again",
    "histories": "generated histories",
    "planted": "planted bugs, and mutated histories, found",
}
"""The table's rows in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    Attributes:
        row: one of `ROWS`.
        what: which of them.
    """

    row: str
    what: str
    goal: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What one part of the campaign brought.

    Attributes:
        date: UTC, when it began.
        commit: the code that was tested; with a plus if it was changed since.
        machine: processors, load by whoever at the beginning, system.
        details: whatever else it has to say.
    """

    part: str
    figures: list[Figure]
    seed: int
    seconds: float
    date: str
    commit: str
    machine: str
    details: dict[str, Any]

    @property
    def met(self) -> bool:
        """All its goals."""
        return all(figure.met for figure in self.figures)


@dataclass(frozen=True, slots=True)
class Origin:
    """When, where and of which code; to be made before the part runs."""

    date: str
    commit: str
    machine: str

    @classmethod
    def here(cls) -> Origin:
        """Now."""
        load = f"load {os.getloadavg()[0]:.1f} at the start"
        system = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
        return cls(
            f"{datetime.now(UTC):%Y-%m-%d %H:%M}Z",
            _commit(),
            f"{os.cpu_count()} processors, {load}, {system}",
        )


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


class Results:
    """
    The outcomes of parts in a file, a line each; the last of a part counts.

    Args:
        file: is made if it isn't there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")

    def all(self) -> dict[str, Outcome]:
        """By part."""
        if not self._file.exists():
            return {}
        found = [json.loads(line) for line in self._file.read_text().splitlines()]
        made = [Outcome(**{**one, "figures": [Figure(**row) for row in one["figures"]]}) for one in found]
        return {one.part: one for one in made}


def table(outcomes: Iterable[Outcome]) -> str:
    """Of everything measured, row by row."""
    rows = [(figure, outcome) for outcome in outcomes for figure in outcome.figures]
    lines = ["| what | goal | measured | | seed | seconds | commit |", "|---|---|---|---|---|---|---|"]
    for row, title in ROWS.items():
        mine = [(figure, outcome) for figure, outcome in rows if figure.row == row]
        lines += [f"| **{title}** | | | | | | |"] if mine else []
        lines += [_line(figure, outcome) for figure, outcome in mine]
    return "\n".join(lines)


def _line(figure: Figure, outcome: Outcome) -> str:
    met = "met" if figure.met else "**missed**"
    made = f"{outcome.seed} | {outcome.seconds:.0f} | {outcome.commit}"
    return f"| {figure.what} | {figure.goal} | {figure.measured} | {met} | {made} |"
