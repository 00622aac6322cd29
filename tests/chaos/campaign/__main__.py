# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
`python -m tests.chaos.campaign --long [--only PART...] [--out FILE]`, and `--report --out FILE` for the table of it.

The long form of the campaign, part by part. What a part measured is a line in FILE; parts that are in it with all
goals met aren't run again, so that it may be interrupted, and carried on with the same command. Without `--long`: one
cell of SIGKILLs as the options say. `--prove` plants all bugs. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from tests.chaos.campaign.cell import run
from tests.chaos.campaign.figures import Results, table
from tests.chaos.campaign.kills import figures
from tests.chaos.campaign.parts import PARTS, Ask, carry_out
from tests.chaos.campaign.plan import EFFECTS, Cell
from tests.chaos.campaign.proving import prove

BROKERS = ("sqlite", "redis", "rabbitmq", "kafka")
LEDGER_OF = {"rabbitmq": "postgresql", "kafka": "redis", "redis": "redis", "sqlite": "sqlite"}
"""Which ledger a broker has unless another is named."""


def main(arguments: list[str]) -> int:
    """The command; returns its exit code."""
    given = _parse(arguments)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="tickrelay-campaign-"))
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(given.out or folder / "results.jsonl")
    if given.report:
        return _report(results)
    _say(f"histories in {folder}")
    if given.prove:
        return 1 if prove(folder, _say) else 0
    if given.long:
        return _long(given, folder, results)
    return _one(_cell(given), folder)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign")
    parser.add_argument("--long", action="store_true", help="every part, or those of --only")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--again", action="store_true", help="parts too that have met their goals")
    parser.add_argument("--report", action="store_true", help="print the table of what --out has")
    parser.add_argument("--out", type=Path, help="file of what parts measured; in the folder by default")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the long form's numbers")
    parser.add_argument("--prove", action="store_true", help="plant bugs, and see whether each is found")
    parser.add_argument("--broker", choices=BROKERS, default="sqlite")
    parser.add_argument("--ledger", choices=EFFECTS)
    parser.add_argument("--effect", choices=sorted({*EFFECTS.values(), "external"}))
    for option, default in (
        ("kills", 40),
        ("messages", 2000),
        ("broker-kills", 0),
        ("ledger-kills", 0),
        ("seed", 1),
    ):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="for histories and logs; a new one by default")
    return parser.parse_args(arguments)


def _long(given: argparse.Namespace, folder: Path, results: Results) -> int:
    done = {} if given.again else {name for name, outcome in results.all().items() if outcome.met}
    for name in given.only:
        if name in done:
            _say(f"{name}: has met its goals before")
            continue
        try:
            outcome = carry_out(name, Ask(_fresh(folder, name), given.seed, _say, given.scale))
        except Exception:  # noqa: BLE001 - the other parts are worth having
            _say(f"{name}: broke off\n{traceback.format_exc()}")
            continue
        results.add(outcome)
        _say(f"{name}: {'met' if outcome.met else 'MISSED'} in {outcome.seconds:.0f} s, {outcome.details}")
    return _report(results)


def _fresh(folder: Path, name: str) -> Path:
    """A folder nobody has used."""
    number = next(number for number in range(1, 1000) if not (folder / f"{name}-{number}").exists())
    return folder / f"{name}-{number}"


def _report(results: Results) -> int:
    outcomes = results.all()
    ordered = [outcomes[name] for name in PARTS if name in outcomes]
    _say(table(ordered))
    for outcome in ordered:
        _say(f"{outcome.part}: {outcome.date}, {outcome.commit}, {outcome.machine}")
    missing = [name for name in PARTS if name not in outcomes]
    if missing:
        _say(f"not run yet: {', '.join(missing)}")
    return 0 if not missing and all(outcome.met for outcome in ordered) else 1


def _cell(given: argparse.Namespace) -> Cell:
    ledger = given.ledger or LEDGER_OF[given.broker]
    return Cell(
        broker=given.broker,
        ledger=ledger,
        effect=given.effect or EFFECTS[ledger],
        messages=given.messages,
        kills=given.kills,
        seed=given.seed,
        broker_kills=given.broker_kills,
        ledger_kills=given.ledger_kills,
    )


def _one(cell: Cell, folder: Path) -> int:
    report = run(cell, folder / cell.name, _say)
    _say(f"at points {dict(report.hits)}, otherwise {dict(report.others)}, {report.seconds} s")
    for figure in figures(cell.name, report):
        _say(f"{figure.row}: {figure.measured}")
    for name, found in report.faults().items():
        _say(f"{name}: {str(found)[:1000]}")
    return 1 if report.faults() else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
