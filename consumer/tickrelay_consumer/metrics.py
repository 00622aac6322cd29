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
        common = {"namespace": "tickrelay_consumer", "registry": self.registry}
        self.received = Counter("received", "Messages received from the broker", ("queue", "group"), **common)
        self.claims = Counter("claims", "Answers of the ledger to claims", (*_ROUTE, "outcome"), **common)
        self.settled = Counter("settled", "Messages settled", (*_ROUTE, "verdict"), **common)
        self.refused = Counter("refused", "Results refused because another consumer had taken over", _ROUTE, **common)
        self.timeouts = Counter("timeouts", "Attempts that ran past their timeout", _ROUTE, **common)
        self.undecodable = Counter("undecodable", "Messages that could not be decoded", ("queue", "group"), **common)
        self.enrolled_again = Counter("enrolled_again", "Times this process was taken for dead", **common)
        self.service_errors = Counter("service_errors", "Errors of broker or ledger", ("service",), **common)
        self.latency = Histogram(
            "latency_seconds", "From publishing to the handler's start", _ROUTE, buckets=_LATENCIES, **common
        )
        self.duration = Histogram(
            "handler_duration_seconds", "Time in the handler", _ROUTE, buckets=_DURATIONS, **common
        )
        self.in_hand = Gauge("in_hand", "Messages waiting or running in this process", **common)
        self.stuck = Gauge("stuck_handlers", "Handlers past their timeout and still running", **common)

    def watch_load(self, count: Callable[[], float]) -> None:
        """Read the load when scraped rather than at every change."""
        self.in_hand.set_function(count)
