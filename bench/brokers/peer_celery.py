# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Celery on RabbitMQ: quorum queues, confirmed publishing, no results."""

from __future__ import annotations

from functools import cache
from typing import Any

from celery import Celery

from bench.brokers.material import payload
from bench.report import timed


def publish(url: str, number: int) -> float:
    """`delay`, one by one: it has nothing else."""
    app, task = _app(url, "celery-published")
    seconds = timed(lambda: _send(task, number))
    app.control.purge()
    return seconds


def _send(task: Any, number: int) -> None:
    for n in range(number):
        task.delay(payload(n))


def _work(_: dict[str, object]) -> None:
    """Nobody receives here: its worker, started inside another process, takes ten seconds to stop."""


@cache
def _app(url: str, queue: str) -> tuple[Any, Any]:
    app = Celery("bench", broker=url)
    app.conf.update(
        task_default_queue=queue,
        task_default_queue_type="quorum",
        task_ignore_result=True,
        broker_transport_options={"confirm_publish": True},
    )
    return app, app.task(_work, name=queue)
