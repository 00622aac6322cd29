# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the live picture shows, read twice a second from counters that broker and ledger keep anyway."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tickrelay_airflow.local.orders import OrderBook
from tickrelay_airflow.local.web import Web
from tickrelay_messaging.brokers.base import Broker, GroupStats
from tickrelay_messaging.errors import TickrelayError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import DeadFilter

_LATENCY_EVERY = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    One look at the system, all queues together.

    Attributes:
        published: messages confirmed by the broker, those of repeated tasks too; None if it doesn't count them.
        ready: on a queue, not handed out.
        in_flight: in a handler's hands.
        repeats: deliveries that were dropped because their effect was there already.
        latency: median seconds from order to effect, or None.
    """

    ticks: int = 0
    published: int | None = 0
    effects: int = 0
    ready: int = 0
    in_flight: int = 0
    waiting: int = 0
    retries: int = 0
    repeats: int = 0
    dead: int = 0
    broken: int = 0
    latency: float | None = None
    last_dead: str = ""
    trouble: str = ""


class Gauge:
    """Reads figures; a broker or ledger that doesn't answer leaves the last ones, and says so."""

    def __init__(self, broker: Broker, ledger: Ledger, web: Web, book: OrderBook | None) -> None:
        self._broker = broker
        self._ledger = ledger
        self._web = web
        self._book = book
        self._last = Figures()
        self._latency: float | None = None
        self._latency_at = 0.0

    def read(self) -> Figures:
        """Look now."""
        self._web.refresh()
        try:
            self._last = self._read()
        except TickrelayError as error:
            return Figures(ticks=self._web.ticks, trouble=str(error))
        return self._last

    def _read(self) -> Figures:
        groups = [group for queue in self._broker.queues() for group in self._broker.stats(queue.name)]
        routes = self._ledger.history.stats()
        dead = sum(route.dead for route in routes)
        return Figures(
            ticks=self._web.ticks,
            broken=self._web.broken,
            published=_published(groups),
            ready=sum(group.ready for group in groups),
            in_flight=sum(route.claimed for route in routes),
            effects=sum(route.done for route in routes),
            waiting=sum(route.waiting for route in routes),
            retries=sum(route.retried for route in routes),
            repeats=sum(route.duplicates for route in routes),
            dead=dead,
            last_dead=self._last_dead(dead),
            latency=self._recent_latency(),
        )

    def _last_dead(self, count: int) -> str:
        if count == 0:
            return ""
        if count == self._last.dead:
            return self._last.last_dead
        letters = self._ledger.dead_letters.list(DeadFilter(), limit=1_000)
        return f"{letters[-1].route.queue}: {letters[-1].error}" if letters else ""

    def _recent_latency(self) -> float | None:
        if self._book is not None and time.monotonic() >= self._latency_at:
            self._latency_at = time.monotonic() + _LATENCY_EVERY
            self._latency = self._book.latency()
        return self._latency


def _published(groups: list[GroupStats]) -> int | None:
    """Over all queues, each of which has its count in every group's row."""
    counts = {group.queue: group.published for group in groups}
    if groups and None in counts.values():
        return None
    return sum(count or 0 for count in counts.values())
