# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The thread that receives one group's messages for sensors."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from tickrelay_airflow.connection import pool
from tickrelay_airflow.waiting.collecting import collect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tickrelay_airflow.connection.settings import Settings
    from tickrelay_messaging.brokers.base import Subscription

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds after which a quiet receive begins anew; a message or `stop` ends it at once."""
PAUSE = 2.0
"""Seconds to wait after broker or ledger has failed."""


class Receiver:
    """
    Moves a group's messages into the mailbox until it is stopped.

    Args:
        heard: called when there is something new in the mailbox.
    """

    def __init__(self, settings: Settings, queue: str, group: str, *, heard: Callable[[], None]) -> None:
        self._settings = settings
        self._queue = queue
        self._group = group
        self._heard = heard
        self._stopping = threading.Event()
        self._subscription: Subscription | None = None
        threading.Thread(target=self._run, name=f"tickrelay-receive-{queue}", daemon=True).start()

    def stop(self) -> None:
        """Stop soon; what was received and not kept goes back to the broker."""
        self._stopping.set()
        subscription = self._subscription
        if subscription is not None:
            subscription.wake()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._receive()
            except Exception as error:  # noqa: BLE001 - what wasn't acknowledged comes again
                log.warning("Receiving from %s/%s for sensors: %s", self._queue, self._group, error)
                self._stopping.wait(PAUSE)

    def _receive(self) -> None:
        broker, ledger = pool.broker(self._settings.broker), pool.ledger(self._settings.ledger or "")
        with broker.subscribe(self._queue, self._group) as subscription:
            self._subscription = subscription
            while not self._stopping.is_set():
                if collect(subscription, ledger, TIMEOUT):
                    self._heard()
