# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""All contestants in the same minutes on one machine: first undisturbed, then with their schedulers killed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from tests.services.postgres import running_postgres
from tests.services.redis import running_server

from bench.report import console, scratch
from bench.ticks import airflow
from bench.ticks.kills import ROUND, kill_for
from bench.ticks.notes import Figures, figures
from bench.ticks.peers import peers
from bench.ticks.replicas import Contestant

GOAL = 0.020
"""Seconds, of P99 with ticks ahead."""
SETTLE = 5
"""Seconds left out at the start."""
PATIENCE = 60
"""Seconds waited for at the end, at most, for ticks that are late."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds undisturbed, and with kills."""

    quiet: int
    killed: int


def main(*, short: bool) -> None:
    """Run everybody, and print a table of each span."""
    span = Span(quiet=48, killed=2 * ROUND) if short else Span(quiet=1000, killed=28 * ROUND)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        folder.chmod(0o755)
        everybody = _measure(stack, folder, span)
        for title, since, until in everybody[1]:
            _show(title, [(one, figures(one.notes, since, until, one.every)) for one in everybody[0]])


def _measure(
    stack: ExitStack, folder: Path, span: Span
) -> tuple[Sequence[Contestant], list[tuple[str, float, float]]]:
    postgres = stack.enter_context(running_postgres(folder / "postgres", max_connections="100"))
    server = stack.enter_context(running_server(folder / "redis"))
    others = peers(folder, f"redis://127.0.0.1:{server.port}")
    for peer in others:
        stack.callback(peer.close)
        peer.start_others()
    system = stack.enter_context(airflow.running(folder, server.url(lease=10), postgres))
    for peer in others:
        peer.start(0, 1)
    time.sleep(SETTLE)
    began = time.time() + 1
    time.sleep(span.quiet + 1)
    middle = time.time()
    kill_for(span.killed, [*others, system])
    ended = time.time()
    _await_late(airflow.schedules(folder), middle, ended)
    spans = [("undisturbed", began, middle), ("both schedulers killed in turn, and at once", middle, ended)]
    return [*airflow.schedules(folder), *others], spans


def _await_late(schedules: Sequence[Contestant], since: float, until: float) -> None:
    """Those that make up for what they missed are given time to; the others have none to make up for."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not any(figures(one.notes, since, until, one.every).missed for one in schedules):
            return
        time.sleep(1)


def _show(title: str, found: Sequence[tuple[Contestant, Figures]]) -> None:
    """Lateness is from the tick's instant to the start of the work."""
    table = Table(title=f"Tick instant -> work, {title}", title_justify="left", show_edge=False)
    for name in (
        "what",
        "setting",
        "ticks",
        "P50",
        "P99",
        "maximum",
        "missed",
        "doubled",
        "longest gap",
        "goal",
    ):
        table.add_column(name, justify="left" if name in ("what", "setting", "goal") else "right")
    for one, row in found:
        lateness = [_seconds(row.quantile(share)) for share in (0.5, 0.99, 1.0)]
        counts = [str(row.missed), str(row.doubled), _seconds(row.longest_gap)]
        ticks = f"{row.ticks}, every {one.every} s"
        table.add_row(one.name, one.setting, ticks, *lateness, *counts, _goal(one, row))
    console.print(table)
    console.print()


def _goal(one: Contestant, row: Figures) -> str:
    if one.name != "tickrelay":
        return ""
    if one.every != 1:
        return _mark("each tick once", met=not row.missed and not row.doubled)
    return _mark("P99 <= 20 ms, 0, 0", met=row.quantile(0.99) <= GOAL and not row.missed and not row.doubled)


def _mark(goal: str, *, met: bool) -> str:
    return goal + (" [green]met[/]" if met else " [bold red]MISSED[/]")


def _seconds(value: float) -> str:
    if value != value:  # noqa: PLR0124 - not a number: nobody knows
        return "-"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"
