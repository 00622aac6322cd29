# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The parts of the long form: each runs by itself, and brings figures for the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.chaos.campaign import faults, histories, takeovers
from tests.chaos.campaign.cell import run
from tests.chaos.campaign.figures import Figure, Origin, Outcome
from tests.chaos.campaign.kills import CELLS, figures
from tests.chaos.campaign.plants import PLANTS
from tests.chaos.campaign.proving import prove
from tests.chaos.campaign.reporting import Report

Say = Callable[[str], None]
ZOMBIES = {"sqlite": "external", "postgresql": "transaction", "mariadb": "transaction", "redis": "redis"}
"""The effect on each ledger."""
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """
    Attributes:
        folder: for histories and logs.
        scale: share of the asked numbers, to try a part out; 1 is what counts.
    """

    folder: Path
    seed: int
    say: Say
    scale: float = 1.0


Part = Callable[[Ask], tuple[list[Figure], dict[str, Any]]]


def carry_out(name: str, ask: Ask) -> Outcome:
    """One part, from its servers' start to its figures."""
    origin, began = Origin.here(), time.monotonic()
    found, details = PARTS[name](ask)
    return Outcome(
        part=name,
        figures=found,
        seed=ask.seed,
        seconds=round(time.monotonic() - began, 1),
        date=origin.date,
        commit=origin.commit,
        machine=origin.machine,
        details=details,
    )


def _kill(name: str) -> Part:
    def carried_out(ask: Ask) -> tuple[list[Figure], dict[str, Any]]:
        cell = replace(CELLS[name], seed=ask.seed)
        if ask.scale < 1:
            cell = replace(
                cell,
                messages=int(cell.messages * ask.scale),
                kills=int(cell.kills * ask.scale),
                each=max(1, int(cell.each * ask.scale)),
                broker_kills=int(cell.broker_kills * ask.scale),
                ledger_kills=int(cell.ledger_kills * ask.scale),
            )
        report = run(cell, ask.folder, ask.say)
        return figures(name, report), _details(report)

    return carried_out


def _details(report: Report) -> dict[str, Any]:
    told = {name: str(found)[:2000] for name, found in report.faults().items()}
    return {
        "hits": dict(report.hits),
        "struck": dict(report.struck),
        "others": dict(report.others),
        "dead": report.dead,
        "faults": told,
    }


def _zombies(ask: Ask) -> tuple[list[Figure], dict[str, Any]]:
    found = []
    for ledger, effect in ZOMBIES.items():
        brought, wrong = faults.zombies(ask.folder / ledger, ledger, effect, rounds=2 * ROUNDS)
        accepted = faults.accepted(brought)
        found.append(
            Figure(
                row="zombie",
                what=f"{ledger}, `{effect}`, {2 * ROUNDS} zombies",
                goal="every result refused",
                measured=f"{len(brought) - len(accepted)} of {len(brought)} refused{_told(wrong)}",
                met=bool(brought) and not accepted and not wrong,
            )
        )
    return found, {}


def _takeovers(ask: Ask) -> tuple[list[Figure], dict[str, Any]]:
    lease = 2.0
    found, details = [], {}
    for ledger in ZOMBIES:
        seconds = takeovers.after_host(ask.folder / ledger, ledger, lease=lease, rounds=ROUNDS)
        details[ledger] = seconds
        most = max(seconds)
        found.append(
            _takeover(f"a host's, {ledger}, lease {lease:g} s", seconds, "1.5 x lease", most <= 1.5 * lease)
        )
    seconds = details["child"] = takeovers.after_child(ask.folder / "child", rounds=ROUNDS)
    return [*found, _takeover("a child process's", seconds, "1 s", max(seconds) <= 1)], details


def _takeover(whose: str, seconds: list[float], goal: str, met: bool) -> Figure:
    told = f"{min(seconds):.2f} to {max(seconds):.2f} s in {len(seconds)} deaths"
    return Figure(row="takeover", what=whose, goal=f"<= {goal}", measured=told, met=met)


def _told(wrong: Mapping[str, Any]) -> str:
    return f"; {', '.join(wrong)}" if wrong else ""


def _faults(ask: Ask) -> tuple[list[Figure], dict[str, Any]]:
    found = {
        "the disk is full (SQLite)": faults.full_disk(ask.folder / "disk"),
        "a host's clock an hour ahead (PostgreSQL)": faults.wrong_clock(ask.folder / "ahead", faults.HOUR),
        "a host's clock an hour behind (PostgreSQL)": faults.wrong_clock(ask.folder / "behind", -faults.HOUR),
        "one process's clock jumps by an hour (SQLite)": faults.jumping_clock(ask.folder / "jump"),
    }
    made = [
        Figure(
            row="faults",
            what=what,
            goal="lost 0, twice 0",
            measured="nothing wrong" if not wrong else ", ".join(wrong),
            met=not wrong,
        )
        for what, wrong in found.items()
    ]
    return made, {what: str(wrong) for what, wrong in found.items() if wrong}


def _flushed(ask: Ask) -> tuple[list[Figure], dict[str, Any]]:
    code, told = faults.flushed(ask.folder)
    figure = Figure(
        row="flushed",
        what="with messages claimed and waiting",
        goal="consumption stops, the loss is told by name and number",
        measured=f"exit code {code}: {told or 'nothing told'}",
        met=code == 1 and any(letter.isdigit() for letter in told),
    )
    return [figure], {}


def _histories(ask: Ask) -> tuple[list[Figure], dict[str, Any]]:
    each = max(10, int(450 * ask.scale))
    found = histories.generate(ask.folder, each=each, seed=ask.seed)
    total, wrong = sum(found.passed.values()), found.failed
    told = ", ".join(f"{name} {count:,}" for name, count in found.passed.items())
    figure = Figure(
        row="histories",
        what="ledgers and brokers beside their models, up to 40 steps each",
        goal=f">= {int(2000 * ask.scale):,}",
        measured=f"{total:,} ({told}){'; FAILED, see its log' if wrong else ''}",
        met=total >= int(2000 * ask.scale) and not wrong,
    )
    return [figure], dict(found.passed)


def _planted(ask: Ask) -> tuple[list[Figure], dict[str, Any]]:
    missed = prove(ask.folder, ask.say)
    mutated, unseen = histories.mutate()
    return [
        Figure(
            row="planted",
            what="bugs in real consumers",
            goal=">= 10, all",
            measured=f"{len(PLANTS) - len(missed)} of {len(PLANTS)}",
            met=len(PLANTS) >= 10 and not missed,
        ),
        Figure(
            row="planted",
            what="mutated histories, shown to the judge",
            goal="all",
            measured=f"{mutated - unseen:,} of {mutated:,}",
            met=not unseen,
        ),
    ], {"missed": missed}


PARTS: Mapping[str, Part] = {
    **{name: _kill(name) for name in CELLS},
    "zombies": _zombies,
    "takeovers": _takeovers,
    "faults": _faults,
    "flushed": _flushed,
    "histories": _histories,
    "planted": _planted,
}
