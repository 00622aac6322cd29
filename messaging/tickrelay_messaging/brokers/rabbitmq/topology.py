# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Exchanges and quorum queues: made, looked for, counted and emptied."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

from tickrelay_messaging.brokers.base import DEFAULT_GROUP, QueueSpec
from tickrelay_messaging.brokers.rabbitmq.errands import TIMEOUT, Steps, order, run
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.brokers.rabbitmq.management import Management
from tickrelay_messaging.brokers.rabbitmq.names import PREFIX, check_spec, exchange_of, group_of, queue_of
from tickrelay_messaging.errors import BrokerRefused, QueueMismatch, UnknownQueue

_QUORUM = {"x-queue-type": "quorum"}
_LIMIT = "x-delivery-limit"
_FIRST_WITH_A_LIMIT = 4
_log = logging.getLogger(__name__)


class Counts(NamedTuple):
    """What a passive declaration tells about one group: messages ready, consumers."""

    ready: int
    consumers: int


class Topology:
    """
    What exists on the broker, as far as this process knows.

    Args:
        link: for errands; never used to publish, so that a memory alarm doesn't block it.
        management: the one place that has a list.
    """

    def __init__(self, link: Link, management: Management | None) -> None:
        self._link = link
        self._management = management
        self._lock = Lock()
        self._known: dict[str, set[str]] = {}

    def declare(self, spec: QueueSpec) -> None:
        """
        See `Broker.declare`. Without the right to configure, everything must be there already.

        A delivery limit is turned off where RabbitMQ has one by default (4.0), because the ledger counts crashes.
        """
        check_spec(spec)
        connection = self._link.connect(time.monotonic() + TIMEOUT)
        version = str((connection.server_properties or {}).get("version", "0"))
        limited = int(version.partition(".")[0] or 0) >= _FIRST_WITH_A_LIMIT
        try:
            self._make(spec, {**_QUORUM, _LIMIT: -1} if limited else _QUORUM)
        except QueueMismatch as mismatch:
            if not limited or _LIMIT not in str(mismatch):
                raise
            self._make(spec, _QUORUM)
            _log.warning("queue %s keeps a delivery limit of its own: %s", spec.name, mismatch)
        except BrokerRefused:
            self._find(spec)
        self._note(spec.name, spec.groups)

    def check(self, queue: str, group: str | None = None, deadline: float | None = None) -> None:
        """
        Raises:
            UnknownQueue: the queue, or its group, isn't there.
        """
        with self._lock:
            groups = self._known.get(queue)
        if groups is None or (group is not None and group not in groups):
            self._look_for(queue, group, deadline)
            self._note(queue, (group,) if group else ())

    def forget_exchange(self, exchange: str) -> None:
        """It may be gone: look again before the next use."""
        with self._lock:
            self._known.pop(exchange.removeprefix(PREFIX), None)

    def unacknowledged(self) -> dict[str, int]:
        """Messages in flight by RabbitMQ's name of the queue, as far as the management API says."""
        rows = self._management.queues() if self._management is not None else []
        return {
            row["name"]: row["messages_unacknowledged"] for row in rows if "messages_unacknowledged" in row
        }

    def specs(self) -> list[QueueSpec]:
        """
        What the management API lists; without it, what this process has declared or found.

        Raises:
            BrokerUnavailable: also without the API, so that an empty list always comes from a broker that is there.
        """
        self._link.connect(time.monotonic() + TIMEOUT)
        found = {queue: set(groups) for queue, groups in self._snapshot() if groups}
        if self._management is not None:
            found = {}
            for row in self._management.queues():
                if names := group_of(row["name"]):
                    found.setdefault(names[0], set()).add(names[1])
        return [QueueSpec(queue, tuple(sorted(groups))) for queue, groups in sorted(found.items())]

    def groups(self, queue: str) -> list[str]:
        """
        A queue's groups as far as known; the default one is looked for.

        Raises:
            UnknownQueue: the queue isn't there.
        """
        self._look_for(queue, None)
        known = {group for name, groups in self._snapshot() if name == queue for group in groups}
        if self._management is not None:
            known |= {group for spec in self.specs() if spec.name == queue for group in spec.groups}
        return sorted({DEFAULT_GROUP, *known}, key=lambda group: (group != DEFAULT_GROUP, group))

    def count(self, queue: str, group: str) -> Counts | None:
        """Messages ready and consumers of one group; None if it isn't there."""
        try:
            return run(
                self._link, partial(_count, queue_of(queue, group)), f"queue {queue!r}, group {group!r}"
            )
        except UnknownQueue:
            return None

    def purge(self, queue: str, group: str) -> int:
        """Drop what is ready; how many messages."""
        return run(self._link, partial(_purge, queue_of(queue, group)), f"queue {queue!r}, group {group!r}")

    def _make(self, spec: QueueSpec, arguments: dict[str, Any]) -> None:
        steps = partial(
            _make, exchange_of(spec.name), [queue_of(spec.name, group) for group in spec.groups], arguments
        )
        run(self._link, steps, f"queue {spec.name!r}")

    def _find(self, spec: QueueSpec) -> None:
        """Raises what `_make` raised unless all of it exists."""
        refused = "may not be declared by this user, and isn't there"
        try:
            for group in spec.groups:
                self._look_for(spec.name, group)
        except UnknownQueue as error:
            raise BrokerRefused(f"{error}: it {refused}") from error

    def _look_for(self, queue: str, group: str | None, deadline: float | None = None) -> None:
        what = f"queue {queue!r}" if group is None else f"queue {queue!r}, group {group!r}"
        try:
            steps = partial(_look, exchange_of(queue), queue_of(queue, group) if group else None)
            run(self._link, steps, what, deadline)
        except UnknownQueue:
            self.forget_exchange(exchange_of(queue))
            raise

    def _note(self, queue: str, groups: Iterable[str]) -> None:
        with self._lock:
            self._known.setdefault(queue, set()).update(groups)

    def _snapshot(self) -> list[tuple[str, set[str]]]:
        with self._lock:
            return [(queue, set(groups)) for queue, groups in self._known.items()]


def _make(exchange: str, queues: list[str], arguments: dict[str, Any], channel: Any) -> Steps[None]:
    yield order(channel.exchange_declare, exchange, exchange_type="fanout", durable=True)
    for queue in queues:
        yield order(channel.queue_declare, queue, durable=True, arguments=arguments)
        yield order(channel.queue_bind, queue, exchange)


def _look(exchange: str, queue: str | None, channel: Any) -> Steps[None]:
    yield order(channel.exchange_declare, exchange, passive=True)
    if queue is not None:
        yield order(channel.queue_declare, queue, passive=True)


def _count(queue: str, channel: Any) -> Steps[Counts]:
    answer = yield order(channel.queue_declare, queue, passive=True)
    return Counts(answer.method.message_count, answer.method.consumer_count)


def _purge(queue: str, channel: Any) -> Steps[int]:
    answer = yield order(channel.queue_purge, queue)
    return int(answer.method.message_count)
