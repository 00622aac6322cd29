# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a consumer counts, for Prometheus. A registry of its own, so that several consumers may live in one process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tickrelay_consumer.breaker import Circuit

if TYPE_CHECKING:
    from tickrelay_consumer.handlers import Handler

_LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_DURATIONS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_ROUTE = ("queue", "group", "handler")


class Histogram(Collector):
    """
    A histogram by route that takes a batch at once: per value a tenth of what `prometheus_client.Histogram` costs.

    Written by one thread, read by any.
    """

    def __init__(self, name: str, text: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._text, self._bounds = name, text, bounds
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def observe(self, route: tuple[str, str, str], values: Sequence[float]) -> None:
        """Count values of one route; `route` as in its labels."""
        counts = self._counts.get(route)
        if counts is None:
            counts = self._counts[route] = [0] * (len(self._bounds) + 1)
        ordered, below = sorted(values), 0
        for place, bound in enumerate(self._bounds):
            up_to = bisect_right(ordered, bound)
            counts[place] += up_to - below
            below = up_to
        counts[-1] += len(ordered) - below
        self._sums[route] = self._sums.get(route, 0.0) + sum(values)

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Its name, for the registry."""
        yield HistogramMetricFamily(self._name, self._text, labels=_ROUTE)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What was counted, in Prometheus' cumulative form."""
        family = HistogramMetricFamily(self._name, self._text, labels=_ROUTE)
        limits = [*map(floatToGoString, self._bounds), "+Inf"]
        for route, total in list(self._sums.items()):
            sums = accumulate(self._counts[route])
            family.add_metric(route, buckets=list(zip(limits, sums, strict=True)), sum_value=total)
        yield family


class Metrics:
    """All metrics of one consumer; names as Prometheus' conventions have them (base units, `_total` for counters)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.received = Counter(
            "tickrelay_consumer_received",
            "Messages received from the broker",
            ("queue", "group"),
            registry=registry,
        )
        self.claims = Counter(
            "tickrelay_consumer_claims",
            "Answers of the ledger to claims",
            (*_ROUTE, "outcome"),
            registry=registry,
        )
        self.settled = Counter(
            "tickrelay_consumer_settled", "Messages settled", (*_ROUTE, "verdict"), registry=registry
        )
        self.refused = Counter(
            "tickrelay_consumer_refused",
            "Results refused because another consumer had taken over",
            _ROUTE,
            registry=registry,
        )
        self.timeouts = Counter(
            "tickrelay_consumer_timeouts", "Attempts that ran past their timeout", _ROUTE, registry=registry
        )
        self.undecodable = Counter(
            "tickrelay_consumer_undecodable",
            "Messages that could not be decoded",
            ("queue", "group"),
            registry=registry,
        )
        self.enrolled_again = Counter(
            "tickrelay_consumer_enrolled_again", "Times this process was taken for dead", registry=registry
        )
        self.service_errors = Counter(
            "tickrelay_consumer_service_errors", "Errors of broker or ledger", ("service",), registry=registry
        )
        self.deaf = Counter(
            "tickrelay_consumer_deaf",
            "Connections that brought nothing although messages waited, and were replaced",
            ("queue", "group"),
            registry=registry,
        )
        self.latency = Histogram(
            "tickrelay_consumer_latency_seconds",
            "From publishing to the handler's start",
            _LATENCIES,
            registry,
        )
        self.duration = Histogram(
            "tickrelay_consumer_handler_duration_seconds", "Time in the handler", _DURATIONS, registry
        )
        self.in_hand = Gauge(
            "tickrelay_consumer_in_hand", "Messages waiting or running in this process", registry=registry
        )
        self.breaker = Gauge(
            "tickrelay_consumer_breaker_state",
            "Circuit breaker: 0 closed, 1 half-open, 2 open",
            ("queue", "handler"),
            registry=registry,
        )
        self.backlog = Gauge(
            "tickrelay_consumer_backlog",
            "Messages on the queue that the group has not finished: ready and in flight, as the broker counts",
            ("queue", "group"),
            registry=registry,
        )
        self.waiting = Gauge(
            "tickrelay_consumer_waiting",
            "Messages parked in the ledger, due or not",
            _ROUTE,
            registry=registry,
        )
        self.overdue = Gauge(
            "tickrelay_consumer_overdue_seconds",
            "How long the oldest parked message that is due has been so",
            _ROUTE,
            registry=registry,
        )
        self.ticks = Counter(
            "tickrelay_ticks",
            "Decisions about ticks of any schedule in the ledger; every consumer of it counts the same ones",
            ("schedule", "outcome"),
            registry=registry,
        )
        self.stuck = Gauge(
            "tickrelay_consumer_stuck_handlers",
            "Handlers past their timeout and still running",
            registry=registry,
        )

    def watch_breaker(self, handler: Handler, read: Callable[[], Circuit]) -> None:
        """Read a breaker's state when scraped: 0 closed, 1 half-open, 2 open."""
        levels = {Circuit.CLOSED: 0, Circuit.HALF_OPEN: 1, Circuit.OPEN: 2}
        self.breaker.labels(handler.queue, handler.name).set_function(lambda: levels[read()])

    def watch_load(self, count: Callable[[], float]) -> None:
        """Read the load when scraped rather than at every change."""
        self.in_hand.set_function(count)
