# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Celery beat, a task every second; its crontab knows no seconds, and a task doesn't learn when it was due."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

app = Celery("ticks", broker=os.environ["TICKS_REDIS"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    beat_schedule={"tick": {"task": "tick", "schedule": 1.0}},
    beat_max_loop_interval=1,
    broker_connection_retry_on_startup=True,
)
_notes = os.open(os.environ["TICKS_NOTES"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)


def tick() -> None:
    os.write(_notes, f"- {time.time()}\n".encode())


_task: Any = app.task(tick, name="tick")
