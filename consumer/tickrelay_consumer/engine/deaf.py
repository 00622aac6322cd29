# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Connected but deaf: a subscription that is open, raises nothing and brings nothing while messages wait for it.

A connection into a black hole, a consumer the broker cancelled without a word, a client library that stands still: from
inside all look like an empty queue. So it goes by progress: after `Limits.deaf_after` seconds of silence a *fresh*
connection is asked twice, half that time apart, whether messages wait. If they do and nobody in the group moves, the
subscription is rebuilt on a new connection. What it held is given back or comes again, and the ledger knows it.

It is never said of a queue with lanes while the group has other consumers: they may hold the lanes that messages wait
in, and no broker tells which. An idle consumer pays two short connections a `deaf_after`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from tickrelay_consumer.engine.fetcher import Fetcher
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_messaging.brokers.base import Broker, GroupStats, QueueSpec
from tickrelay_messaging.errors import TickrelayError


@dataclass(slots=True)
class _Ear:
    """
    What is known about one fetcher.

    Attributes:
        looked: when the broker was last asked (monotonic seconds).
        seen: what it answered then, if messages waited.
        cures: rebuilds in a row that brought nothing.
        received: the fetcher's count at the last of them.
    """

    fetcher: Fetcher
    looked: float = -math.inf
    seen: GroupStats | None = None
    cures: int = 0
    received: int = 0


class DeafWatch:
    """Runs in a thread of its own, since asking may take as long as the broker's timeouts."""

    def __init__(self, shared: Shared, fetchers: Iterable[Fetcher]) -> None:
        self._shared = shared
        self._patience = shared.limits.deaf_after
        self._ears = [_Ear(fetcher) for fetcher in fetchers]

    def run(self) -> None:
        """Until the consumer stops."""
        while not self._shared.stopping.wait(max(0.02, min(5.0, self._patience / 8))):
            for ear in self._ears:
                self._check(ear)

    def _check(self, ear: _Ear) -> None:
        now, fetcher = time.monotonic(), ear.fetcher
        if ear.cures and fetcher.received != ear.received:
            ear.cures = 0
            self._shared.deaf.pop(fetcher.queue, None)
            log.info("hears again", queue=fetcher.queue)
        if now - fetcher.heard < self._patience / 2:
            ear.seen = None
        elif now - ear.looked >= self._patience / 2:
            ear.looked = now
            self._look(ear)

    def _look(self, ear: _Ear) -> None:
        before, ear.seen = ear.seen, self._waiting(ear.fetcher)
        silent = time.monotonic() - ear.fetcher.heard
        if before and ear.seen and silent >= self._patience and _stands_still(before, ear.seen):
            self._cure(ear, ear.seen, silent)
            ear.seen = None

    def _waiting(self, fetcher: Fetcher) -> GroupStats | None:
        """The group's numbers, if messages wait that this subscription should have been given."""
        try:
            with ExitStack() as stack:
                fresh = self._shared.reopen and self._shared.reopen()
                broker = stack.enter_context(fresh) if fresh else self._shared.broker
                row = _stats(broker, fetcher.queue, self._shared.group)
                if row is None or not self._waits(row):
                    return None
                return None if row.consumers > 1 and _has_lanes(broker, fetcher.queue) else row
        except TickrelayError as error:
            # It is away, for everybody; whoever uses it says so already.
            log.debug("can't ask whether messages wait", queue=fetcher.queue, error=str(error))
        except Exception:  # noqa: BLE001 - somebody's bug; a look must not end a consumer that works
            log.exception("can't ask whether messages wait", queue=fetcher.queue)
        return None

    def _waits(self, row: GroupStats) -> bool:
        """Ready, or handed to a connection that nobody hears: in flight, while no consumer but us is there."""
        swallowed = bool(row.in_flight) and row.consumers == 1 and not self._shared.load.count
        return row.ready > 0 or swallowed

    def _cure(self, ear: _Ear, row: GroupStats, silent: float) -> None:
        fetcher, most = ear.fetcher, self._shared.limits.cures
        waiting = row.ready + (row.in_flight or 0)
        what = f"queue {fetcher.queue!r}: connected but deaf: {waiting:,} messages wait, none came for {silent:.0f} s"
        if ear.cures >= most:
            self._shared.give_up(f"{what}; {ear.cures} new connections were no help")
            return
        ear.cures += 1
        ear.received = fetcher.received
        self._shared.deaf[fetcher.queue] = f"{what}; new connection {ear.cures} of {most}"
        self._shared.metrics.deaf.labels(fetcher.queue, self._shared.group).inc()
        log.warning(
            "connected but deaf; connecting anew", queue=fetcher.queue, waiting=waiting, cure=ear.cures
        )
        fetcher.rebuild()


def _stands_still(before: GroupStats, after: GroupStats) -> bool:
    """Whether nobody in the group took anything between two looks."""
    return _taken(after) <= _taken(before)


def _taken(row: GroupStats) -> int:
    return (row.published or 0) - row.ready - (row.in_flight or 0)


def _stats(broker: Broker, queue: str, group: str) -> GroupStats | None:
    """A broker that can't list its groups knows only those declared through it, so it is declared where need be."""
    rows = broker.stats(queue)
    if not rows:
        broker.declare(QueueSpec(queue, (group,)))
        rows = broker.stats(queue)
    return next((row for row in rows if row.group == group), None)


def _has_lanes(broker: Broker, queue: str) -> bool:
    """Kafka's partitions are lanes whoever declared them; only Kafka can't keep scattered acknowledgements."""
    lanes = any(spec.lanes for spec in broker.queues() if spec.name == queue)
    return lanes or not broker.capabilities.keeps_scattered_acks
