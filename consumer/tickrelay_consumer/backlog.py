# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How much work lies before a consumer's groups, for autoscalers, and what became of ticks, for alerts."""

from __future__ import annotations

from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.ticks import TickCounts
from tickrelay_messaging.errors import TickrelayError

EVERY = 15.0
"""Seconds between two looks: each asks broker and ledger once, in a thread of its own, never during a scrape."""


class Backlog:
    """Only where metrics are served; while somebody can't be asked, the figures stay as they were."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._ticks = TickCounts(shared.metrics)

    def run(self) -> None:
        """Until the consumer stops."""
        while True:
            try:
                self._look()
            except TickrelayError as error:
                log.debug("can't look at the backlog", error=str(error))
            except Exception:  # noqa: BLE001 - somebody's bug; a figure must not end a consumer that works
                if not self._shared.stopping.is_set():  # then its connections are being closed
                    log.exception("can't look at the backlog")
            if self._shared.stopping.wait(EVERY):
                return

    def _look(self) -> None:
        shared, metrics = self._shared, self._shared.metrics
        for queue in {route.queue for route in shared.routes}:
            for row in shared.broker.stats(queue):
                if row.group == shared.group:
                    metrics.backlog.labels(queue, row.group).set(row.ready + (row.in_flight or 0))
        now = shared.ledger.now()
        for stats in shared.ledger.history.stats():
            if (route := stats.route) in shared.routes:
                labels = (route.queue, route.group, route.handler)
                due = now if stats.oldest_waiting is None else stats.oldest_waiting
                metrics.waiting.labels(*labels).set(stats.waiting)
                metrics.overdue.labels(*labels).set(max(0.0, now - due))
        self._ticks.look(shared.ledger.schedules)
