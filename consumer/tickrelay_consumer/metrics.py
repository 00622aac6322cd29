# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a consumer counts, for Prometheus. A registry of its own, so that several consumers may live in one process."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_DURATIONS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_ROUTE = ("queue", "group", "handler")


class Metrics:
    """All metrics of one consumer; names as Prometheus' conventions have them (base units, `_total` for counters)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.received = Counter("tickrelay_consumer_received", "Messages received from the broker", ("queue", "group"), registry=registry)
        self.claims = Counter("tickrelay_consumer_claims", "Answers of the ledger to claims", (*_ROUTE, "outcome"), registry=registry)
        self.settled = Counter("tickrelay_consumer_settled", "Messages settled", (*_ROUTE, "verdict"), registry=registry)
        self.refused = Counter("tickrelay_consumer_refused", "Results refused because another consumer had taken over", _ROUTE, registry=registry)
        self.timeouts = Counter("tickrelay_consumer_timeouts", "Attempts that ran past their timeout", _ROUTE, registry=registry)
        self.undecodable = Counter("tickrelay_consumer_undecodable", "Messages that could not be decoded", ("queue", "group"), registry=registry)
        self.enrolled_again = Counter("tickrelay_consumer_enrolled_again", "Times this process was taken for dead", registry=registry)
        self.service_errors = Counter("tickrelay_consumer_service_errors", "Errors of broker or ledger", ("service",), registry=registry)
        self.latency = Histogram(
            "tickrelay_consumer_latency_seconds", "From publishing to the handler's start", _ROUTE, buckets=_LATENCIES, registry=registry
        )
        self.duration = Histogram(
            "tickrelay_consumer_handler_duration_seconds", "Time in the handler", _ROUTE, buckets=_DURATIONS, registry=registry
        )
        self.in_hand = Gauge("tickrelay_consumer_in_hand", "Messages waiting or running in this process", registry=registry)
        self.stuck = Gauge("tickrelay_consumer_stuck_handlers", "Handlers past their timeout and still running", registry=registry)

    def watch_load(self, count: Callable[[], float]) -> None:
        """Read the load when scraped rather than at every change."""
        self.in_hand.set_function(count)
