# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The broker for Kafka: a queue is a topic, a group a consumer group `<queue>:<group>`.

What Kafka can't do, and what to know:

- Order holds within a key (and within a partition); messages without a key go round the partitions.
- At most as many consumers of a group work as the topic has partitions; each has some of them for itself, and with
  them what waits there, however long it waits.
- A killed consumer's partitions go to the others after `session.timeout.ms` (10 s by default).
- A consumer that ends gets everything again from its oldest unfinished message on, the finished ones behind it too.
- `redelivered` is only known for what this broker object has handed out itself.
- A message is dropped after the topic's `retention.ms` (7 days if neither URL nor cluster says otherwise), and a group
  without consumers is forgotten after the cluster's `offsets.retention.minutes` (7 days): give both room for the
  longest time nobody consumes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Self
from weakref import WeakSet

from tickrelay_messaging.brokers.base import (
    DEFAULT_GROUP,
    Broker,
    Capabilities,
    GroupStats,
    Peeked,
    QueueSpec,
)
from tickrelay_messaging.brokers.kafka import views
from tickrelay_messaging.brokers.kafka.admin import BEGINNING, END, PATIENCE, Administration, Offsets, Topic
from tickrelay_messaging.brokers.kafka.clients import Clients
from tickrelay_messaging.brokers.kafka.lanes import Lane
from tickrelay_messaging.brokers.kafka.member import Member, Seen
from tickrelay_messaging.brokers.kafka.publisher import Publisher
from tickrelay_messaging.brokers.kafka.settings import Settings, read
from tickrelay_messaging.brokers.kafka.subscription import KafkaSubscription
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.errors import CallerError, ConfigurationError, QueueMismatch, UnknownQueue
from tickrelay_messaging.message import MAX_BODY, Message, check_publishable


class KafkaBroker(Broker):
    """
    Queues on a Kafka cluster.

    Nothing is asked of the cluster until the first call.

    Args:
        settings: where it is and how to talk to it; `from_url` reads them from a URL.
    """

    capabilities = Capabilities(
        durable=True,
        shared=True,
        peek=True,
        replay=False,
        exact_stats=False,
        max_body=MAX_BODY,
        marks_redelivery=False,
        keeps_scattered_acks=False,
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients = Clients(settings)
        self._administration = Administration(self._clients)
        self._publisher = Publisher(self._clients, self._administration)
        self._subscriptions: WeakSet[KafkaSubscription] = WeakSet()
        self._seen: Seen = {}
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        The broker at `kafka://user:password@host:port,host:port?name=value&...`.

        Options, by librdkafka's names: `security.protocol`, `sasl.*`, `ssl.*`, `client.id`, `client.rack`,
        `session.timeout.ms`, `heartbeat.interval.ms`, `max.poll.interval.ms`, `compression.type`, `linger.ms`; and for
        topics it makes `partitions` (8), `replication.factor` (the cluster's default), `retention.ms`,
        `retention.bytes`, `min.insync.replicas`, `max.message.bytes`.
        """
        return cls(read(url))

    def declare(self, spec: QueueSpec) -> None:
        """
        See `Broker.declare`.

        The first groups of a topic see everything in it, also if somebody else made it; later ones what comes later.
        """
        check_name(spec.name)
        if not spec.groups:
            raise ConfigurationError(
                f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
            )
        groups = [check_name(group, "group") for group in spec.groups]
        topic = self._admin.topic(spec.name)
        if topic is None:
            self._admin.create(spec.name)
            topic = self._topic(spec.name)
        self._check_shape(spec.name, topic)
        new = [group for group in groups if self._admin.committed(spec.name, group) is None]
        if new:
            known = self._admin.groups().get(spec.name, [])
            start = self._admin.offsets(
                spec.name, dict.fromkeys(range(topic.partitions), END if known else BEGINNING)
            )
            for group in new:
                self._admin.commit(spec.name, group, start)

    def queues(self) -> list[QueueSpec]:
        """See `Broker.queues`."""
        return [QueueSpec(queue, tuple(groups)) for queue, groups in sorted(self._admin.groups().items())]

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """See `Broker.publish`; after a time-out it's unknown whether a message not confirmed will still appear."""
        deadline = time.monotonic() + timeout
        for message in messages:
            check_publishable(message)
        topic = self._topic(queue, min(timeout, PATIENCE))
        self._publisher.send(queue, topic, messages, deadline)

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> KafkaSubscription:
        """See `Broker.subscribe`; returns when the group has given it its share, at latest after 10 s."""
        self._declared(queue, group)
        names = (queue, group)
        subscription = KafkaSubscription(names, Member(self._clients, names, self._seen))
        self._subscriptions.add(subscription)
        return subscription

    def stats(self, queue: str) -> list[GroupStats]:
        """
        See `Broker.stats`.

        In flight is what this broker object's own subscriptions hold; what others hold counts as ready.
        """
        ends = self._ends(queue)
        groups = self._admin.groups().get(queue, [])
        consumers = self._admin.consumers(queue, groups)
        return [self._row(queue, group, ends, consumers[group]) for group in groups]

    def _row(self, queue: str, group: str, ends: Offsets, consumers: int) -> GroupStats:
        committed = self._admin.committed(queue, group) or {}
        behind = {p: at for p, end in ends.items() if (at := committed.get(p, 0)) < end}
        in_flight = len(self._held((queue, group)))
        oldest = min(map(views.published_at, views.read(self._clients, queue, behind, 1)), default=None)
        return GroupStats(
            queue=queue,
            group=group,
            ready=max(0, sum(ends[p] - at for p, at in behind.items()) - in_flight),
            in_flight=in_flight,
            oldest_age=None if oldest is None else max(0.0, time.time() - oldest),
            consumers=consumers,
            published=sum(ends.values()),
        )

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        """
        See `Broker.peek`: what at least one group hasn't acknowledged, by the time Kafka got it.

        In flight is what this broker object's own subscriptions hold.
        """
        if after is not None:
            views.place_of(after)
        ends = self._ends(queue)
        groups = self._admin.groups().get(queue, [])
        committed = [self._admin.committed(queue, group) or {} for group in groups]
        start = {p: min((known.get(p, 0) for known in committed), default=end) for p, end in ends.items()}
        if after is not None:
            start = views.start_behind(self._clients, self._admin, queue, after, start)
        start = {p: at for p, at in start.items() if at < ends[p]}
        held = {place for group in groups for place in self._held((queue, group))}
        messages = sorted(views.read(self._clients, queue, start, max(limit, 0)), key=views.order)[
            : max(limit, 0)
        ]
        return [views.peeked(one, in_flight=(one.partition(), one.offset()) in held) for one in messages]

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """
        See `Broker.purge`.

        Purged messages behind one in flight come again if its consumer dies before it is through: see the module.

        Raises:
            CallerError: consumers of other broker objects or processes are in the group; stop them first.
        """
        committed = self._declared(queue, group)
        ends = self._ends(queue)
        ours = [one for one in self._subscriptions if one.names == (queue, group) and one.lanes()]
        if ours:
            return self._purge_live(ours, committed, ends)
        self._admin.commit(queue, group, ends)
        return sum(max(0, end - committed.get(p, 0)) for p, end in ends.items())

    def _purge_live(self, ours: Sequence[KafkaSubscription], committed: Offsets, ends: Offsets) -> int:
        with ExitStack() as locks:
            for one in ours:
                locks.enter_context(one.lock)
            lanes = {lane.partition: lane for one in ours for lane in one.lanes()}
            if lanes.keys() != ends.keys():
                raise CallerError("the group has consumers elsewhere; stop them before purging")
            return sum(_purge_lane(lane, committed.get(p, 0), ends[p]) for p, lane in lanes.items())

    def forget(self, queue: str, group: str) -> None:
        """See `Broker.forget`."""
        raise NotImplementedError

    def close(self) -> None:
        """See `Broker.close`; its subscriptions are closed too."""
        if not self._closed:
            self._closed = True
            for subscription in list(self._subscriptions):
                subscription.close()
            self._clients.close()

    @property
    def _admin(self) -> Administration:
        if self._closed:
            raise CallerError("this broker is closed; open another")
        return self._administration

    def _topic(self, queue: str, timeout: float = PATIENCE) -> Topic:
        topic = self._admin.topic(queue, timeout)
        if topic is None:
            raise UnknownQueue(
                f"queue {queue!r} was never declared on Kafka at {self._settings.servers}; declare it"
            )
        return topic

    def _declared(self, queue: str, group: str) -> Offsets:
        self._topic(queue)
        committed = self._admin.committed(queue, group)
        if committed is None:
            raise UnknownQueue(
                f"queue {queue!r} has no group {group!r} on Kafka at {self._settings.servers}: "
                "it was never declared, or forgotten after offsets.retention.minutes without consumers; declare it"
            )
        return committed

    def _check_shape(self, queue: str, topic: Topic) -> None:
        wanted = self._settings.partitions
        if wanted not in (None, topic.partitions):
            raise QueueMismatch(
                f"queue {queue!r} has {topic.partitions} partitions, not {wanted}; "
                "say so in the URL, or not at all, or change the topic"
            )
        if topic.compacted:
            raise QueueMismatch(
                f"queue {queue!r}: its topic's cleanup.policy is compact, which drops messages unread"
            )

    def _ends(self, queue: str) -> Offsets:
        return self._admin.offsets(queue, dict.fromkeys(range(self._topic(queue).partitions), END))

    def _held(self, names: tuple[str, str]) -> list[tuple[int, int]]:
        return list(_held_by(one for one in list(self._subscriptions) if one.names == names))


def _held_by(subscriptions: Iterator[KafkaSubscription]) -> Iterator[tuple[int, int]]:
    for subscription in subscriptions:
        with subscription.lock:
            yield from [(lane.partition, offset) for lane in subscription.lanes() for offset in lane.open]


def _purge_lane(lane: Lane, committed: int, end: int) -> int:
    dropped = max(0, end - max(lane.next or 0, committed))
    lane.skip_to(end)
    return dropped
