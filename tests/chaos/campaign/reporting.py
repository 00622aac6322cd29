# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a cell has to say when it is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.campaign.judging import Verdict
from tests.chaos.campaign.plan import CHILDREN, LEAVE, Cell


@dataclass(slots=True)
class Report:
    """
    Attributes:
        hits: SIGKILLs by point; `others` those at no point, and ends that weren't planned.
        struck: deaths of child processes by point, beside `hits`.
        confirmed: messages.
        duplicates: effects beyond the first.
        again: process -> its effects that another repeated, and in how many calls it had them.
        refused: results that the ledger refused, as somebody else had taken over.
        left: what broker and ledger still show when all has come to rest; empty if they say nothing is left.
        wrong: in words, whatever the figures don't say.
    """

    cell: Cell
    hits: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    broker_kills: int = 0
    ledger_kills: int = 0
    confirmed: int = 0
    effects: int = 0
    duplicates: int = 0
    dead: int = 0
    refused: int = 0
    again: dict[int, tuple[int, int]] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    left: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    incomplete: str = ""
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """Of whole processes; all of them."""
        return sum(self.hits.values()) - self.hits[LEAVE] + self.others["a moment"]

    def spared(self) -> list[str]:
        """Points at which too few child processes have died."""
        few = [name for name in sorted(CHILDREN) if self.struck[name] < self.cell.each]
        return few if self.cell.children else []

    def least(self) -> tuple[int, str]:
        """The fewest hits at any one point, and which."""
        points = {name: self.hits[name] for name in self.cell.points}
        points |= {name: self.struck[name] for name in CHILDREN if self.cell.children}
        return min((count, name) for name, count in points.items())

    def faults(self) -> dict[str, Any]:
        """Everything that speaks against it, by name; none in a good one."""
        found = self.verdict.faults(external=self.cell.effect == "external")
        missed = [name for name in self.cell.points if self.hits[name] < self.cell.each]
        missed += self.spared()
        more = {"left": self.left, "wrong": self.wrong, "missed": missed if self.cell.kills else []}
        more["incomplete"] = self.incomplete
        return {**found, **{name: value for name, value in more.items() if value}}

    def damage(self) -> dict[str, Any]:
        """What is wrong with the messages, as opposed to the cell's own plan."""
        return {name: value for name, value in self.faults().items() if name not in ("missed", "incomplete")}
