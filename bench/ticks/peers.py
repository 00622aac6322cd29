# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Celery beat, APScheduler, and robfig/cron in Go, which is left out where it can't be built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from bench.report import console
from bench.ticks.replicas import Replicas

ROOT = Path(__file__).parents[2]
_SOURCE = Path(__file__).with_name("robfig")
_USUAL_GO = Path("/usr/local/go/bin/go")


def peers(folder: Path, redis: str) -> list[Replicas]:
    """
    Args:
        redis: URL of a server; database 1 is Celery's, 0 has the locks.
    """
    found = [_celery(folder, redis), _apscheduler(folder), _robfig(folder, redis)]
    return [peer for peer in found if peer is not None]


def _celery(folder: Path, redis: str) -> Replicas:
    celery = [sys.executable, "-m", "celery", "-A", "bench.ticks.peer_celery"]
    quiet = ["--loglevel=WARNING"]
    return Replicas(
        "Celery beat",
        "1 beat, 1 worker, Redis",
        folder / "celery",
        schedulers=[[*celery, "beat", "-s", f"{folder}/beat", "--pidfile=", *quiet]],
        others=[[*celery, "worker", "--pool=solo", "--without-gossip", "--without-mingle", *quiet]],
        environment={"TICKS_REDIS": f"{redis}/1", "PYTHONPATH": str(ROOT)},
    )


def _apscheduler(folder: Path) -> Replicas:
    return Replicas(
        "APScheduler 3",
        "1 process, SQLite job store, makes up for missed",
        folder / "apscheduler",
        schedulers=[[sys.executable, "-m", "bench.ticks.peer_apscheduler"]],
        environment={"PYTHONPATH": str(ROOT)},
    )


def _robfig(folder: Path, redis: str) -> Replicas | None:
    go = shutil.which("go") or (str(_USUAL_GO) if _USUAL_GO.exists() else None)
    if go is None:
        console.print("robfig/cron is left out: Go isn't installed")
        return None
    program = folder / "robfig-cron"
    build = [go, "build", "-o", str(program), "."]
    built = subprocess.run(build, cwd=_SOURCE, capture_output=True, text=True, check=False)
    if built.returncode:
        console.print(f"robfig/cron is left out: {(built.stderr.strip().splitlines() or ['?'])[-1][:90]}")
        return None
    notes = folder / "robfig"
    command = [str(program), urlsplit(redis).netloc, str(notes)]
    return Replicas(
        "robfig/cron (Go)", "2 processes, a lock a tick in Redis", notes, schedulers=[command, command]
    )
