# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What operators do with queues and groups: look, purge, replay and forget."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import floor
from weakref import WeakSet

from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # exported, though not in __all__

from tickrelay_messaging.brokers.base import GroupStats, Peeked
from tickrelay_messaging.brokers.kafka import views
from tickrelay_messaging.brokers.kafka.admin import BEGINNING, END, Offsets, Topics
from tickrelay_messaging.brokers.kafka.asking import pause
from tickrelay_messaging.brokers.kafka.clients import Clients
from tickrelay_messaging.brokers.kafka.groups import Groups
from tickrelay_messaging.brokers.kafka.lanes import Lane
from tickrelay_messaging.brokers.kafka.subscription import KafkaSubscription
from tickrelay_messaging.errors import CallerError, ConfigurationError, QueueMismatch

EMPTYING = 3.0
"""Seconds until a group whose consumers have just left is certainly empty for Kafka too."""


class Operations:
    """
    Args:
        subscriptions: of this broker object, living ones.
    """

    def __init__(
        self, clients: Clients, topics: Topics, groups: Groups, subscriptions: WeakSet[KafkaSubscription]
    ) -> None:
        self._clients = clients
        self._topics = topics
        self._groups = groups
        self._subscriptions = subscriptions

    def stats(self, queue: str) -> list[GroupStats]:
        """See `KafkaBroker.stats`."""
        ends = self._topics.ends(queue)
        groups = self._groups.of(queue)
        consumers = self._groups.consumers(queue, groups)
        return [self._row((queue, group), ends, consumers[group]) for group in groups]

    def _row(self, names: tuple[str, str], ends: Offsets, consumers: int) -> GroupStats:
        committed = self._groups.committed(*names) or {}
        behind = {p: at for p, end in ends.items() if (at := committed.get(p, 0)) < end}
        oldest = min(map(views.published_at, views.read(self._clients, names[0], behind, 1)), default=None)
        return GroupStats(
            queue=names[0],
            group=names[1],
            ready=sum(ends[p] - at for p, at in behind.items()),
            in_flight=None,
            oldest_age=None if oldest is None else max(0.0, time.time() - oldest),
            consumers=consumers,
            published=sum(ends.values()),
        )

    def peek(self, queue: str, after: str | None, limit: int) -> list[Peeked]:
        """See `KafkaBroker.peek`."""
        if after is not None:
            views.place_of(after)
        ends = self._topics.ends(queue)
        groups = self._groups.of(queue)
        committed = [self._groups.committed(queue, group) or {} for group in groups]
        start = {p: min((known.get(p, 0) for known in committed), default=end) for p, end in ends.items()}
        if after is not None:
            start = views.start_behind(self._clients, self._topics, queue, after, start)
        start = {p: at for p, at in start.items() if at < ends[p]}
        held = {place for group in groups for place in self._held((queue, group))}
        found = sorted(views.read(self._clients, queue, start, limit), key=views.order)[:limit]
        return [views.peeked(one, in_flight=(one.partition(), one.offset()) in held) for one in found]

    def purge(self, queue: str, group: str) -> int:
        """See `KafkaBroker.purge`."""
        self._topics.get(queue)
        committed = self._groups.get(queue, group)
        ends = self._topics.ends(queue)
        ours = [one for one in self._of((queue, group)) if one.lanes()]
        if ours:
            return _purge_live(ours, committed, ends)
        self._groups.commit(queue, group, ends)
        return sum(max(0, end - committed.get(p, 0)) for p, end in ends.items())

    def replay(self, queue: str, group: str, since: float | None, after: str | None) -> None:
        """See `KafkaBroker.replay`."""
        if since is not None and after is not None:
            raise ConfigurationError(
                f"queue {queue!r}: a replay begins at a time or behind a position; give one of the two"
            )
        if after is not None:
            views.place_of(after)
        self._topics.get(queue)
        if self._groups.committed(queue, group) is not None:
            raise QueueMismatch(f"queue {queue!r} has a group {group!r}; forget it first, or name another")
        self._groups.commit(queue, group, self._start(queue, since, after))

    def _start(self, queue: str, since: float | None, after: str | None) -> Offsets:
        partitions = range(self._topics.get(queue).partitions)
        first = self._topics.offsets(queue, dict.fromkeys(partitions, BEGINNING))
        if after is not None:
            return views.start_behind(self._clients, self._topics, queue, after, first)
        if since is None:
            return first
        # Kafka counts whole milliseconds, so a message of this very instant has a time up to one earlier.
        at = OffsetSpec.for_timestamp(max(0, floor(since * 1000)))
        return views.or_ends(self._topics, queue, self._topics.offsets(queue, dict.fromkeys(partitions, at)))

    def forget(self, queue: str, group: str) -> None:
        """See `KafkaBroker.forget`."""
        self._topics.get(queue)
        for subscription in self._of((queue, group)):
            subscription.close()
        deadline = time.monotonic() + EMPTYING
        while True:
            try:
                self._groups.delete(queue, group)
            except CallerError:
                if time.monotonic() >= deadline:
                    raise
                pause()
            else:
                return

    def _of(self, names: tuple[str, str]) -> list[KafkaSubscription]:
        return [one for one in list(self._subscriptions) if one.names == names]

    def _held(self, names: tuple[str, str]) -> Iterator[tuple[int, int]]:
        for subscription in self._of(names):
            with subscription.lock:
                yield from [(lane.partition, offset) for lane in subscription.lanes() for offset in lane.open]


def first_offsets(topics: Topics, queue: str, partitions: int, *, end: bool) -> Offsets:
    """Where a group begins that is new."""
    return topics.offsets(queue, dict.fromkeys(range(partitions), END if end else BEGINNING))


def _purge_live(ours: Sequence[KafkaSubscription], committed: Offsets, ends: Offsets) -> int:
    with ExitStack() as locks:
        for one in ours:
            locks.enter_context(one.lock)
        lanes = {lane.partition: lane for one in ours for lane in one.lanes()}
        if lanes.keys() != ends.keys():
            raise CallerError("the group has consumers elsewhere; stop them before purging")
        return sum(_purge_lane(lane, committed.get(p, 0), ends[p]) for p, lane in lanes.items())


def _purge_lane(lane: Lane, committed: int, end: int) -> int:
    dropped = max(0, end - max(lane.next or 0, committed))
    lane.skip_to(end)
    return dropped
