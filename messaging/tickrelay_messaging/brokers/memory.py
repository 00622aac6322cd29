# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The broker for tests: the whole contract inside one process, nothing on a disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePath
from typing import Self
from weakref import WeakSet

from tickrelay_messaging.brokers._memory_space import Group, Queue, Space
from tickrelay_messaging.brokers.base import (
    DEFAULT_GROUP,
    Broker,
    Capabilities,
    Delivery,
    GroupStats,
    Peeked,
    QueueSpec,
    Subscription,
)
from tickrelay_messaging.brokers.lanes import check_lanes
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.brokers.seat import Seat
from tickrelay_messaging.brokers.urls import redact, split
from tickrelay_messaging.errors import CallerError, ConfigurationError, UnknownQueue
from tickrelay_messaging.message import MAX_BODY, Message, check_publishable

_spaces: dict[str, Space] = {}


class MemoryBroker(Broker):
    """
    Queues in this process's memory.

    Args:
        name: brokers of one name share their queues while the process lives; without one they are private.
    """

    capabilities = Capabilities(
        durable=False,
        shared=False,
        peek=True,
        replay=False,
        exact_stats=True,
        max_body=MAX_BODY,
        lanes=True,
    )

    def __init__(self, name: str = "") -> None:
        self._shared = _spaces.setdefault(check_name(name, "space"), Space()) if name else Space()
        self._subscriptions: WeakSet[MemorySubscription] = WeakSet()
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The broker at `memory:` (private) or `memory:name` (shared within the process)."""
        parts = split(url)
        if parts.netloc or parts.query or parts.fragment or PurePath(parts.path).name != parts.path:
            raise ConfigurationError(f"{redact(url)!r}: write memory: or memory:name")
        return cls(parts.path)

    def declare(self, spec: QueueSpec) -> None:
        """See `Broker.declare`."""
        check_name(spec.name)
        if not spec.groups:
            raise ConfigurationError(
                f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
            )
        groups = [check_name(group, "group") for group in spec.groups]
        with self._space.changed:
            existing = self._space.queues.get(spec.name)
            check_lanes(spec.name, spec.lanes, existing.lanes if existing else None)
            queue = self._space.queues.setdefault(spec.name, Queue(spec.lanes))
            for group in groups:
                queue.groups.setdefault(group, Group(queue))

    def queues(self) -> list[QueueSpec]:
        """See `Broker.queues`."""
        with self._space.changed:
            return [
                QueueSpec(name, tuple(queue.groups), queue.lanes)
                for name, queue in sorted(self._space.queues.items())
            ]

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:  # noqa: ARG002
        """See `Broker.publish`; nothing here can take long."""
        for message in messages:
            check_publishable(message)
        with self._space.changed:
            self._queue(queue).put(messages, time.time())
            self._space.changed.notify_all()

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> MemorySubscription:
        """See `Broker.subscribe`."""
        with self._space.changed:
            subscription = MemorySubscription(self._space, (queue, group), self._group(queue, group))
        self._subscriptions.add(subscription)
        return subscription

    def stats(self, queue: str) -> list[GroupStats]:
        """See `Broker.stats`."""
        with self._space.changed:
            found = self._queue(queue)
            return [
                GroupStats(
                    queue=queue,
                    group=name,
                    ready=len(group.waiting),
                    in_flight=len(group.held),
                    oldest_age=found.age_of(group.oldest()),
                    consumers=len(group.members),
                    published=found.head,
                )
                for name, group in found.groups.items()
            ]

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        """See `Broker.peek`."""
        if after is not None and not (after.isascii() and after.isdigit()):
            raise ConfigurationError(f"after={after!r} is no position of this broker")
        with self._space.changed:
            found = self._queue(queue)
            positions = [position for position in found.stored if position > int(after or 0)][: max(limit, 0)]
            held = set().union(*(group.held for group in found.groups.values()))
            return [found.peeked(position, in_flight=position in held) for position in positions]

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """See `Broker.purge`."""
        with self._space.changed:
            found = self._group(queue, group)
            dropped = list(found.waiting)
            found.waiting.clear()
            found.forget(dropped)
            return len(dropped)

    def forget(self, queue: str, group: str) -> None:
        """See `Broker.forget`."""
        with self._space.changed:
            ended = self._queue(queue).groups.pop(group, None)
            if ended is not None:
                ended.end()
                self._space.changed.notify_all()

    def close(self) -> None:
        """See `Broker.close`; its subscriptions are closed too."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()

    @property
    def _space(self) -> Space:
        if self._closed:
            raise CallerError("this broker is closed; open another")
        return self._shared

    def _queue(self, queue: str) -> Queue:
        try:
            return self._space.queues[queue]
        except KeyError:
            raise UnknownQueue(
                f"queue {queue!r} was never declared on this memory broker; declare it first"
            ) from None

    def _group(self, queue: str, group: str) -> Group:
        try:
            return self._queue(queue).groups[group]
        except KeyError:
            raise UnknownQueue(
                f"queue {queue!r} has no group {group!r} on this memory broker; declare it"
            ) from None


class MemorySubscription(Seat, Subscription):
    """Made by `MemoryBroker.subscribe`, which holds the space's lock meanwhile."""

    def __init__(self, space: Space, names: tuple[str, str], group: Group) -> None:
        super().__init__(names[0])
        self._changed = space.changed
        self._name = names[1]
        self._group = group
        group.members.add(id(self))

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        """See `Subscription.receive`."""
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, got {limit}")
        with self._changed:
            self._changed.wait_for(self._has_reason_to_return, timeout)
            positions = [] if self._interrupted() else self._group.take(id(self), limit)
            return [self._delivery(position) for position in positions]

    def _has_reason_to_return(self) -> bool:
        return self._woken or self._closed or self._group.has_for(id(self))

    def _delivery(self, position: int) -> Delivery:
        row = self._group.queue.stored[position]
        again = position in self._group.again
        return Delivery(
            self._queue,
            self._name,
            str(position),
            dict(row.headers),
            row.body,
            redelivered=again,
            token=position,
        )

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.acknowledge`."""
        with self._changed:
            self._group.settle(
                id(self), [int(delivery.position) for delivery in deliveries if self._is_ours(delivery)]
            )
            if self._group.queue.lanes:
                self._changed.notify_all()

    def _is_ours(self, delivery: Delivery) -> bool:
        return (delivery.queue, delivery.group) == (self._queue, self._name)

    def wake(self) -> None:
        """See `Subscription.wake`."""
        self._woken = True
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """See `Subscription.close`."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._group.leave(id(self))
                self._changed.notify_all()
