# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The handler that starts a DAG run for each message, or for each key."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import structlog

from tickrelay_consumer.breaker import Breaker, CircuitOpen
from tickrelay_consumer.dag_runs.airflow_api import AirflowApi
from tickrelay_messaging.errors import DeadLetter
from tickrelay_messaging.plain import as_dict

if TYPE_CHECKING:
    from tickrelay_consumer.consumer import Consumer
    from tickrelay_consumer.context import Context
    from tickrelay_consumer.dag_runs.settings import DagRunSettings
    from tickrelay_messaging.message import Message

log = structlog.get_logger("tickrelay.consumer")

PREFIX = "tickrelay__"
"""What the ids of runs begin with."""
FRESH = 1.0
"""Seconds that the number of queued runs is believed; what this process has started since is added."""
_RUNS = UUID("d3f7a0a5-36a6-5b7b-8a43-94f58ab4f8f7")
"""Namespace (RFC 9562) of the ids of runs."""


def start_runs(consumer: Consumer, settings: DagRunSettings) -> None:
    """
    Let messages of a queue start runs of a DAG.

    The run's id is made of the message's, so a message that comes again, after a crash between the two, finds its run
    there and is done. Its conf is the message.
    """
    runs = DagRuns(settings)
    consumer.handler(
        settings.queue,
        name=f"dag_run_{settings.dag}",
        timeout=4 * settings.timeout,
        breaker=Breaker(open_for=settings.pause),
    )(runs.start)


class DagRuns:
    """See `start_runs`. Thread-safe."""

    def __init__(self, settings: DagRunSettings) -> None:
        self._settings = settings
        self._api = AirflowApi(settings)
        self._lock = threading.Lock()
        self._queued = 0
        self._asked = 0.0

    def start(self, message: Message, ctx: Context) -> None:  # noqa: ARG002 - as every handler
        """
        Start the message's run.

        Raises:
            DeadLetter: it can't ever be started.
            CircuitOpen: not now, which costs no attempt and stops fetching for a while.
            AirflowFailed: to be tried again.
        """
        run_id = run_id_of(message, self._settings)
        self._find_room()
        is_new = self._api.start_run(run_id, as_dict(message))
        log.info(
            "DAG run started" if is_new else "DAG run was there",
            dag=self._settings.dag,
            run=run_id,
            message_id=message.id,
        )

    def _find_room(self) -> None:
        """Count this run as queued, unless there are too many."""
        with self._lock:
            if time.monotonic() > self._asked + FRESH:
                self._queued = self._api.queued()
                self._asked = time.monotonic()
            if self._queued >= self._settings.max_queued:
                raise CircuitOpen(
                    f"{self._queued} runs of DAG {self._settings.dag!r} are queued, at most "
                    f"{self._settings.max_queued} shall be"
                )
            self._queued += 1


def run_id_of(message: Message, settings: DagRunSettings) -> str:
    """
    The id of the run that a message starts.

    Raises:
        DeadLetter: a run for each key was asked for, and the message has none.
    """
    if settings.per == "message":
        return PREFIX + str(uuid5(_RUNS, f"message\0{message.source}\0{message.id}"))
    if message.key is None:
        raise DeadLetter("a run for each key was asked for, and this message has no key")
    return PREFIX + str(uuid5(_RUNS, f"key\0{settings.queue}\0{message.key}"))
