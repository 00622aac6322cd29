# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Check this installation, and say what to do about each finding."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import typer
from rich.text import Text

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._checks import examine
from tickrelay_consumer.commands._findings import Check, Status
from tickrelay_consumer.commands._options import AsJson, BrokerUrl, LedgerUrl, new_app

app = new_app()

_MARKS = {Status.OK: "ok", Status.WARN: "warn", Status.FAIL: "fail", Status.INFO: "info"}


@app.command()
def doctor(broker: BrokerUrl = None, ledger: LedgerUrl = None, as_json: AsJson = False) -> None:
    """Look at Python, clock, disk, broker, ledger, consumers and queues.

    Changes nothing. Each finding says what to do about it; exit code 1 if a check fails.
    """
    checks = list(examine(broker, ledger))
    if as_json:
        console.emit({"healthy": not _failed(checks), "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
    if _failed(checks):
        raise typer.Exit(1)


def _failed(checks: list[Check]) -> bool:
    return any(check.status is Status.FAIL for check in checks)


def _print(checks: list[Check]) -> None:
    screen = console.out()
    width = max(len(check.name) for check in checks)
    for check in checks:
        style = console.STYLES.get(check.status, "dim")
        screen.print(
            Text.assemble(
                (f"{_MARKS[check.status]:<5}", style),
                (f"{check.name:<{width}}  ", "bold"),
                console.safe(check.finding),
            ),
            soft_wrap=True,
        )
        if check.remedy:
            screen.print(
                Text(f"{'':<{width + 7}}-> {console.safe(check.remedy)}", style=style), soft_wrap=True
            )
    counts = Counter(check.status for check in checks)
    console.note(", ".join(f"{counts[status]} {_MARKS[status]}" for status in Status if counts[status]))
