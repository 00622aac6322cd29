# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Rows of a benchmark, and how they are printed."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

console = Console(width=132)

OURS = "tickrelay"


@dataclass(frozen=True, slots=True)
class Row:
    """
    One measured figure.

    Attributes:
        setting: what it was measured with: durability, batch, effect, worker mode.
        value: the figure, in `unit`.
        goal: what the project has promised for it, or "".
        met: whether the goal was met; None where there is none.
        ratio: ours to this one, where more is known than two figures tell, as from rounds; else it is worked out.
    """

    what: str
    setting: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None
    ratio: float | None = None


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table; its ratio column compares ours with each peer."""
    table = Table(title=title, title_justify="left", show_edge=False)
    for name in ("what", "setting", "value", "ours is", "goal"):
        table.add_column(name, justify="right" if name in ("value", "ours is") else "left")
    for number, row in enumerate(rows):
        table.add_row(
            row.what, row.setting, f"{_figure(row.value)} {row.unit}", _ratio(rows, number), _goal(row)
        )
    console.print(table)
    console.print()


def _figure(value: float) -> str:
    if value != value:  # noqa: PLR0124 - not a number: nothing was measured
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"


def _ratio(rows: Sequence[Row], number: int) -> str:
    """Ours of the same setting against a peer's row, or our first row where there is none."""
    other = rows[number]
    if other.ratio is not None:
        return f"{other.ratio:.2f} x"
    ours = [row for row in rows if row.what == OURS and row.unit == other.unit]
    if other.what == OURS or not ours or not other.value:
        return ""
    same = next((row for row in ours if row.setting == other.setting), ours[0])
    return f"{same.value / other.value:.2f} x"


def _goal(row: Row) -> str:
    mark = {True: " [green]met[/]", False: " [bold red]MISSED[/]", None: ""}[row.met]
    return row.goal + mark


def machine() -> str:
    """The machine in one line."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{os.cpu_count()} cores ({cpu}), {platform.system()}, {versions}, {load}, fsync {fsync_time() * 1e6:.0f} us"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def fsync_time() -> float:
    """Median seconds of one 4 KiB write with fsync, in the folder the benchmarks use."""
    with scratch() as folder, (folder / "probe").open("wb", buffering=0) as file:

        def once() -> None:
            file.write(b"x" * 4096)
            os.fsync(file.fileno())

        return statistics.median(timed(once) for _ in range(50))


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the disk that the figures are about."""
    with tempfile.TemporaryDirectory(
        prefix="tickrelay-bench-", dir=os.environ.get("TICKRELAY_BENCH_DIR")
    ) as folder:
        yield Path(folder)
