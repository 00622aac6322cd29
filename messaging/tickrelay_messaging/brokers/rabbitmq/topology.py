# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which queues, groups and lanes there are, as far as this process knows or the broker tells."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import Any

from tickrelay_messaging.brokers.base import DEFAULT_GROUP, QueueSpec
from tickrelay_messaging.brokers.lanes import check_lanes
from tickrelay_messaging.brokers.rabbitmq import making
from tickrelay_messaging.brokers.rabbitmq.errands import TIMEOUT, Steps, run, run_all
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.brokers.rabbitmq.making import Counts
from tickrelay_messaging.brokers.rabbitmq.management import Management
from tickrelay_messaging.brokers.rabbitmq.names import (
    DIGITS,
    PREFIX,
    check_spec,
    exchange_of,
    mark_of,
    place_of,
    queue_of,
)
from tickrelay_messaging.errors import BrokerRefused, QueueMismatch, UnknownQueue

_QUORUM = {"x-queue-type": "quorum"}
_LIMIT = "x-delivery-limit"
_FIRST_WITH_A_LIMIT = 4
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    lanes: int = 0
    groups: set[str] = field(default_factory=set)


class Topology:
    """
    What exists on the broker.

    Args:
        link: for errands; never used to publish, so that a memory alarm doesn't block it.
        management: the one place that has a list.
    """

    def __init__(self, link: Link, management: Management | None) -> None:
        self._link = link
        self._management = management
        self._lock = Lock()
        self._known: dict[str, _Known] = {}

    def declare(self, spec: QueueSpec) -> None:
        """See `Broker.declare`. Without the right to configure, everything must be there already."""
        check_spec(spec)
        if not spec.lanes:
            spec = replace(spec, lanes=self._lanes_there(spec.name) or 0)
            check_spec(spec)
        try:
            self._make(spec)
        except QueueMismatch:
            check_lanes(spec.name, spec.lanes, self._lanes_there(spec.name))
            raise
        except BrokerRefused as refused:
            self._find(spec, refused)
        self._note(spec)

    def check(self, queue: str, deadline: float | None = None) -> int:
        """
        How many lanes a queue has; asked once, or after `forget_exchange`.

        Raises:
            UnknownQueue: it isn't there.
        """
        with self._lock:
            known = self._known.get(queue)
        if known is not None:
            return known.lanes
        lanes = self._look(queue, deadline)
        self._note(QueueSpec(queue, (), lanes))
        return lanes

    def check_group(self, queue: str, group: str) -> QueueSpec:
        """
        The group alone, as it was declared.

        Raises:
            UnknownQueue: the queue, or its group, isn't there.
        """
        spec = QueueSpec(queue, (group,), self.check(queue))
        self._run(spec, partial(making.look_for_queue, queue_of(queue, group)))
        self._note(spec)
        return spec

    def forget_exchange(self, exchange: str) -> None:
        """It may be gone, or another: look again before the next use."""
        with self._lock:
            self._known.pop(exchange.removeprefix(PREFIX), None)

    def forget_group(self, queue: str, group: str) -> None:
        """
        Delete it.

        Raises:
            UnknownQueue: the queue isn't there.
        """
        spec = QueueSpec(queue, (group,), self._look(queue))
        self._run(spec, partial(making.delete, spec))
        with self._lock:
            if queue in self._known:
                self._known[queue].groups.discard(group)

    def unacknowledged(self, queue: str) -> dict[str, int] | None:
        """Messages in flight by group, as far as the management API says; None without it."""
        if self._management is None:
            return None
        held: dict[str, int] = {}
        for row in self._management.queues():
            place = place_of(row["name"])
            if place is not None and place.queue == queue and "messages_unacknowledged" in row:
                held[place.group] = held.get(place.group, 0) + row["messages_unacknowledged"]
        return held

    def specs(self) -> list[QueueSpec]:
        """
        What the management API lists; without it, what this process has declared or found.

        Raises:
            BrokerUnavailable: also without the API, so that an empty list always comes from a broker that is there.
        """
        self._link.connect(time.monotonic() + TIMEOUT)
        if self._management is None:
            found = self._snapshot()
        else:
            found = _by_queue([row["name"] for row in self._management.queues()])
        return [
            QueueSpec(queue, tuple(sorted(known.groups)), known.lanes)
            for queue, known in sorted(found.items())
            if known.groups
        ]

    def groups(self, queue: str) -> list[str]:
        """
        A queue's groups as far as known; the default one is looked for.

        Raises:
            UnknownQueue: the queue isn't there.
        """
        self._look(queue)
        known = self._snapshot().get(queue, _Known()).groups
        if self._management is not None:
            known |= {group for spec in self.specs() if spec.name == queue for group in spec.groups}
        return sorted({DEFAULT_GROUP, *known}, key=lambda group: (group != DEFAULT_GROUP, group))

    def count(self, queue: str, group: str) -> Counts | None:
        """Messages ready and consumers of one group; None if it isn't there."""
        spec = QueueSpec(queue, (group,), self.check(queue))
        try:
            counts: Counts = self._run(spec, partial(making.count, spec))
        except UnknownQueue:
            return None
        return counts

    def purge(self, spec: QueueSpec) -> int:
        """Drop what is ready in the spec's one group; how many messages."""
        dropped: int = self._run(spec, partial(making.purge, spec))
        return dropped

    def _make(self, spec: QueueSpec) -> None:
        """A delivery limit is turned off where RabbitMQ has one by default (4.0): the ledger counts crashes."""
        connection = self._link.connect(time.monotonic() + TIMEOUT)
        version = str((connection.server_properties or {}).get("version", "0"))
        limited = int(version.partition(".")[0] or 0) >= _FIRST_WITH_A_LIMIT
        try:
            self._run(spec, partial(making.make, spec, {**_QUORUM, _LIMIT: -1} if limited else _QUORUM))
        except QueueMismatch as mismatch:
            if not limited or _LIMIT not in str(mismatch):
                raise
            self._run(spec, partial(making.make, spec, _QUORUM))
            _log.warning("queue %s keeps a delivery limit of its own: %s", spec.name, mismatch)

    def _find(self, spec: QueueSpec, refused: BrokerRefused) -> None:
        """Raises what `_make` raised unless all of it exists."""
        try:
            check_lanes(spec.name, spec.lanes, self._look(spec.name))
            for group in spec.groups:
                self.check_group(spec.name, group)
        except UnknownQueue:
            raise refused from None

    def _lanes_there(self, queue: str) -> int | None:
        """None if there is no such queue."""
        try:
            return self._look(queue)
        except UnknownQueue:
            return None

    def _look(self, queue: str, deadline: float | None = None) -> int:
        """The number of lanes, as its exchanges say it."""
        spec = QueueSpec(queue, ())
        try:
            self._run(spec, partial(making.look_for_exchange, exchange_of(queue)), deadline)
        except UnknownQueue:
            self.forget_exchange(exchange_of(queue))
            raise
        if not self._are_there([mark_of(queue)], deadline)[0]:
            return 0
        found = self._are_there([mark_of(queue, digit) for digit in DIGITS], deadline)
        return sum(digit for digit, there in zip(DIGITS, found, strict=True) if there)

    def _are_there(self, exchanges: list[str], deadline: float | None) -> list[bool]:
        steps = [partial(making.look_for_exchange, name) for name in exchanges]
        answers = run_all(self._link, steps, exchanges[0], deadline)
        for answer in answers:
            if (error := answer.exception()) is not None and not isinstance(error, UnknownQueue):
                raise error
        return [answer.exception() is None for answer in answers]

    def _run(self, spec: QueueSpec, steps: Callable[[Any], Steps[Any]], deadline: float | None = None) -> Any:
        groups = f", group {', '.join(map(repr, spec.groups))}" if spec.groups else ""
        return run(self._link, steps, f"queue {spec.name!r}{groups}", deadline)

    def _note(self, spec: QueueSpec) -> None:
        with self._lock:
            known = self._known.setdefault(spec.name, _Known())
            known.lanes = spec.lanes
            known.groups.update(spec.groups)

    def _snapshot(self) -> dict[str, _Known]:
        with self._lock:
            return {queue: _Known(known.lanes, set(known.groups)) for queue, known in self._known.items()}


def _by_queue(names: list[str]) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for place in filter(None, map(place_of, names)):
        known = found.setdefault(place.queue, _Known())
        known.lanes = place.lanes or known.lanes
        if not place.lanes:
            known.groups.add(place.group)
    return found
