# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Knows when a consumer has nothing left to do: for replays, and for whoever works a queue off and then ends."""

from __future__ import annotations

import time

from tickrelay_consumer.engine.shared import Shared
from tickrelay_messaging.errors import ServiceError


class Emptiness:
    """
    Args:
        seconds: how long there must be nothing ready, in flight, claimed or waiting, in any of the consumer's queues.
    """

    def __init__(self, shared: Shared, seconds: float) -> None:
        self._shared = shared
        self._seconds = seconds
        self._since: float | None = None

    def is_over(self) -> bool:
        """Whether it has lasted long enough; ask about every second. Who can't be asked is taken for busy."""
        now = time.monotonic()
        try:
            empty = self._is_empty()
        except ServiceError:
            empty = False
        if not empty:
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        return now - self._since >= self._seconds

    def _is_empty(self) -> bool:
        return not (self._shared.load.count or self._is_anything_on_queues() or self._is_anything_in_ledger())

    def _is_anything_on_queues(self) -> bool:
        group = self._shared.group
        return any(
            row.ready or row.in_flight
            for queue in {route.queue for route in self._shared.routes}
            for row in self._shared.broker.stats(queue)
            if row.group == group
        )

    def _is_anything_in_ledger(self) -> bool:
        routes = set(self._shared.routes)
        return any(
            row.claimed or row.waiting for row in self._shared.ledger.history.stats() if row.route in routes
        )
