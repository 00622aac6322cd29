# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One contestant's measurement: its processes run until the file has as many bytes as there were messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.report import Row, scratch

_PATIENCE = 300
_ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])}


def rate(function: str, number: int, urls: Sequence[str], *, processes: int = 1) -> float:
    """
    Effects a second, from the first to the last, whichever process had them.

    Raises:
        RuntimeError: it broke, or didn't come to its end in time.
    """
    with scratch() as folder:
        command = [
            sys.executable,
            "-m",
            "bench.effects.effect",
            function,
            str(folder / "effects"),
            str(number),
        ]
        return rate_of([[*command, *urls]] * processes, folder / "effects", number)


def rate_of(commands: Sequence[Sequence[str]], path: Path, number: int) -> float:
    """The same for any programs that print their span as JSON."""
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_ENV) for command in commands]
    try:
        spans = [json.loads(one.communicate(timeout=_PATIENCE)[0] or "{}") for one in running]
    except subprocess.TimeoutExpired as error:
        raise RuntimeError("it didn't come to its end") from error
    finally:
        for one in running:
            one.kill()
            one.wait()
    written = path.stat().st_size if path.exists() else 0
    if not all(spans) or written < number:
        raise RuntimeError(f"{written:,} effects of {number:,}; see above what it said")
    counted = [span for span in spans if span["count"]]
    seconds = max(span["last"] for span in counted) - min(span["first"] for span in counted)
    return float(sum(span["count"] for span in counted) / seconds)


def peer(what: str, setting: str, measured: float | str, ours: float, *, least: float = 0.0) -> Row:
    """A peer's row: ours must be `least` times as fast; a text says why there is no figure."""
    if isinstance(measured, str):
        return Row(what, measured, float("nan"), "")
    ratio = ours / measured
    goal = f">= {least:g} x" if least else ""
    return Row(what, setting, measured, "/s", goal, ratio >= least if goal else None, ratio)


def tried(function: str, number: int, urls: Sequence[str], *, processes: int = 1) -> float | str:
    """A peer's rate, or why there is none: one that breaks doesn't end the others' race."""
    try:
        return rate(function, number, urls, processes=processes)
    except RuntimeError as error:
        return str(error)
