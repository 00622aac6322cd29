# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
`python -m tests.chaos.campaign [--long] [--prove] [--broker B] [--ledger L] [--kills K] [--messages N] [--seed S]`.

The long form of the campaign: 1,000 SIGKILLs a broker, every failpoint at least 25 times, 100,000 messages (RabbitMQ
30,000). Prints a table; the last one is kept as `table.md` in the folder that it names. Exit code 1 if anything is
wrong, or a planted bug goes unnoticed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.campaign.cell import run
from tests.chaos.campaign.plan import EFFECTS, Cell
from tests.chaos.campaign.proving import prove
from tests.chaos.campaign.reporting import Report

LEDGER_OF = {"sqlite": "sqlite", "redis": "redis", "rabbitmq": "postgresql", "kafka": "mariadb"}
"""Which ledger a broker has in the long form, so that each is used."""
MESSAGES = {"rabbitmq": 30_000}
HEADER = (
    "| broker | ledger | effect | messages | SIGKILLs | least at a point | **lost** | **effects twice** | "
    "results refused | other faults | seconds |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    messages: int
    kills: int
    each: int


LONG, SHORT = Size(100_000, 1_000, 25), Size(2_000, 40, 1)


def cells(given: argparse.Namespace) -> list[Cell]:
    """What was asked for."""
    size = LONG if given.long else SHORT
    brokers = [given.broker] if given.broker else list(LEDGER_OF)
    made = []
    for broker in brokers:
        ledger = given.ledger or LEDGER_OF[broker]
        most = MESSAGES.get(broker, size.messages) if given.long else size.messages
        made.append(
            Cell(
                broker=broker,
                ledger=ledger,
                effect=given.effect or EFFECTS[ledger],
                messages=given.messages or most,
                kills=size.kills if given.kills is None else given.kills,
                each=size.each,
                seed=given.seed,
                broker_kills=given.broker_kills,
                ledger_kills=given.ledger_kills,
            )
        )
    return made


def row(report: Report) -> str:
    """Of the table."""
    cell, verdict = report.cell, report.verdict
    own = {"lost", "duplicated"}
    others = ", ".join(name for name in report.faults() if name not in own) or "none"
    least = min((report.hits[name] for name in cell.points), default=0)
    figures = (report.confirmed, report.kills, least, len(verdict.lost), report.duplicates, report.refused)
    shown = " | ".join(f"{figure:,}" for figure in figures)
    return f"| {cell.broker} | {cell.ledger} | {cell.effect} | {shown} | {others} | {report.seconds:.0f} |"


def main(arguments: list[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--prove", action="store_true", help="plant bugs, and see whether each is found")
    parser.add_argument("--broker", choices=LEDGER_OF)
    parser.add_argument("--ledger", choices=EFFECTS)
    parser.add_argument("--effect", choices=sorted({*EFFECTS.values(), "external"}))
    for option in ("kills", "messages"):
        parser.add_argument(f"--{option}", type=int)
    for option in ("broker-kills", "ledger-kills"):
        parser.add_argument(f"--{option}", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for histories, logs and the table; a new one by default")
    given = parser.parse_args(arguments)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="tickrelay-campaign-"))
    folder.mkdir(parents=True, exist_ok=True)
    _say(f"histories in {folder}")
    if given.prove:
        return 1 if prove(folder, _say) else 0
    return _run(cells(given), folder)


def _run(chosen: list[Cell], folder: Path) -> int:
    reports = []
    for cell in chosen:
        reports.append(run(cell, folder / cell.name, _say))
        _say(f"{cell.name}: at points {dict(reports[-1].hits)}, otherwise {dict(reports[-1].others)}")
        for name, found in reports[-1].faults().items():
            _say(f"{cell.name}: {name}: {str(found)[:1000]}")
    table = "\n".join([HEADER, *(row(report) for report in reports)])
    (folder / "table.md").write_text(table + "\n")
    _say(table)
    return 1 if any(report.faults() for report in reports) else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
