# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""APScheduler 3, job store on disk, told to make up for what it misses: `python -m bench.ticks.peer_apscheduler`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.blocking import BlockingScheduler

_notes = os.open(os.environ["TICKS_NOTES"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)


def tick() -> None:
    """It doesn't learn when it was due; the event that follows at once does."""


def _note(event: JobExecutionEvent) -> None:
    os.write(_notes, f"{event.scheduled_run_time.timestamp()} {time.time()}\n".encode())


def main() -> None:
    store = Path(os.environ["TICKS_NOTES"] + ".db")
    is_new = not store.exists()
    scheduler: Any = BlockingScheduler(
        timezone="UTC", job_defaults={"coalesce": False, "misfire_grace_time": None, "max_instances": 100}
    )
    scheduler.add_jobstore("sqlalchemy", url=f"sqlite:///{store}")
    scheduler.add_listener(_note, EVENT_JOB_EXECUTED)
    if is_new:  # to add it again would forget what was missed
        scheduler.add_job("bench.ticks.peer_apscheduler:tick", "cron", second="*", id="tick")
    scheduler.start()


if __name__ == "__main__":
    main()
