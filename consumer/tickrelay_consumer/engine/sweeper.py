# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Lets the ledger forget what nobody can bring again: older than the retention, and than all that queues still hold."""

from __future__ import annotations

from collections.abc import Iterable

from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_messaging.errors import TickrelayError, UnknownQueue


class Sweeper:
    """In a thread of its own, as a broker may take its time to tell what it holds."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._every = max(1.0, min(3600.0, shared.limits.dedup / 8))

    def run(self) -> None:
        """Until the consumer stops."""
        while not self._shared.stopping.wait(self._every):
            try:
                self._shared.ledger.sweep(self._marks(), self._shared.limits.retention)
            except TickrelayError as error:
                if not self._shared.stopping.is_set():
                    log.warning("can't sweep the ledger; trying again later", error=str(error))

    def _marks(self) -> dict[str, float]:
        """Of this consumer's group alone: of others it may not know every queue, and they have their own consumers."""
        group, now = self._shared.group, self._shared.ledger.now()
        queues = {
            stats.route.queue for stats in self._shared.ledger.history.stats() if stats.route.group == group
        }
        ages = list(self._ages(queues))
        return {group: now - max(ages, default=0.0)}

    def _ages(self, queues: Iterable[str]) -> Iterable[float]:
        """
        Seconds since the oldest message was published that each queue may still deliver.

        Raises:
            UnknownQueue: one isn't on this broker, so nobody here knows what it may still deliver.
        """
        for queue in queues:
            found = [row for row in self._shared.broker.stats(queue) if row.group == self._shared.group]
            if not found:
                raise UnknownQueue(f"queue {queue!r} has no group {self._shared.group!r} on this broker")
            yield found[0].oldest_age or 0.0
