# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""asynq, in Go: built here if Go and its modules are to be had, else left out with a line that says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from bench.effects.contest import rate_of

_SOURCE = Path(__file__).with_name("asynq")
_USUAL = Path("/usr/local/go/bin/go")


def asynq(url: str, number: int, folder: Path) -> float | str:
    """Its rate with 50 goroutines, or why there is none."""
    go = shutil.which("go") or (str(_USUAL) if _USUAL.exists() else None)
    if go is None:
        return "left out: Go isn't installed"
    program = folder / "asynq"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."], cwd=_SOURCE, capture_output=True, text=True, check=False
    )
    if built.returncode:
        return f"left out: it can't be built: {(built.stderr.strip().splitlines() or ['?'])[-1][:60]}"
    parts = urlsplit(url)
    path = folder / "asynq-effects"
    try:
        return rate_of(
            [[str(program), f"{parts.hostname}:{parts.port}", str(path), str(number)]], path, number
        )
    except RuntimeError as error:
        return str(error)
