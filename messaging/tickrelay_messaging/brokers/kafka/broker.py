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
from collections.abc import Sequence
from functools import partial
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
from tickrelay_messaging.brokers.kafka.admin import Topic, Topics
from tickrelay_messaging.brokers.kafka.asking import PATIENCE, Asker, until_known
from tickrelay_messaging.brokers.kafka.clients import Clients
from tickrelay_messaging.brokers.kafka.groups import Groups
from tickrelay_messaging.brokers.kafka.holdings import Seen
from tickrelay_messaging.brokers.kafka.member import Member
from tickrelay_messaging.brokers.kafka.operations import Operations, first_offsets
from tickrelay_messaging.brokers.kafka.publisher import Publisher
from tickrelay_messaging.brokers.kafka.settings import Settings, read
from tickrelay_messaging.brokers.kafka.subscription import KafkaSubscription
from tickrelay_messaging.brokers.lanes import check_lanes
from tickrelay_messaging.brokers.names import check_name, check_replay_group
from tickrelay_messaging.errors import CallerError, ConfigurationError, QueueMismatch
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
        replay=True,
        exact_stats=False,
        max_body=MAX_BODY,
        marks_redelivery=False,
        keeps_scattered_acks=False,
        lanes=True,
    )

    def __init__(self, settings: Settings) -> None:
        self._clients = Clients(settings)
        asker = Asker(self._clients)
        self._topics, self._groups = Topics(asker, settings), Groups(asker)
        self._publisher = Publisher(self._clients, self._topics)
        self._subscriptions: WeakSet[KafkaSubscription] = WeakSet()
        self._operations = Operations(self._clients, self._topics, self._groups, self._subscriptions)
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
        See `Broker.declare`; lanes are the topic's partitions, and without a wish as many as the URL says.

        The first groups of a topic see everything in it, also if somebody else made it; later ones what comes later.
        """
        self._check_open()
        check_name(spec.name)
        if not spec.groups:
            raise ConfigurationError(
                f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
            )
        groups = [check_name(group, "group") for group in spec.groups]
        check_lanes(spec.name, spec.lanes)
        topic = self._topics.find(spec.name) or self._topics.create(spec.name, spec.lanes)
        _check_shape(spec, topic)
        new = [group for group in groups if self._groups.committed(spec.name, group) is None]
        if new:
            late = bool(self._groups.of(spec.name))
            start = until_known(
                lambda: first_offsets(self._topics, spec.name, topic.partitions, end=late),
            )
            for group in new:
                until_known(partial(self._groups.commit, spec.name, group, start))

    def queues(self) -> list[QueueSpec]:
        """See `Broker.queues`; lanes are partitions, and every topic has some."""
        self._check_open()
        groups = self._groups.all()
        lanes = self._topics.lanes(sorted(groups))
        return [QueueSpec(queue, tuple(groups[queue]), lanes[queue]) for queue in lanes]

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """See `Broker.publish`; after a time-out it's unknown whether a message not confirmed will still appear."""
        self._check_open()
        deadline = time.monotonic() + timeout
        for message in messages:
            check_publishable(message)
        topic = self._topics.get(queue, min(timeout, PATIENCE))
        self._publisher.send(queue, topic, messages, deadline)

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> KafkaSubscription:
        """See `Broker.subscribe`; returns when the group has given it its share, at latest after 10 s."""
        self._check_open()
        self._topics.get(queue)
        self._groups.get(queue, group)
        names = (queue, group)
        subscription = KafkaSubscription(names, Member(self._clients, names, self._seen))
        self._subscriptions.add(subscription)
        return subscription

    def stats(self, queue: str) -> list[GroupStats]:
        """See `Broker.stats`: ready is a group's whole lag, since Kafka doesn't know what was handed out."""
        self._check_open()
        return self._operations.stats(queue)

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        """
        See `Broker.peek`: what at least one group hasn't acknowledged, by the time Kafka got it.

        In flight is what this broker object's own subscriptions hold.
        """
        self._check_open()
        return self._operations.peek(queue, after, max(limit, 0))

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """
        See `Broker.purge`.

        Purged messages behind one in flight come again if its consumer dies before it is through: see the module.

        Raises:
            CallerError: consumers of other broker objects or processes are in the group; stop them first.
        """
        self._check_open()
        return self._operations.purge(queue, group)

    def replay(self, queue: str, group: str, *, since: float | None = None, after: str | None = None) -> None:
        """
        See `Broker.replay`; messages are kept for the topic's `retention.ms`, whoever acknowledged them.

        A position is one partition's. `after` means the same place in time in the others, as `peek` orders them: there
        the group begins with the first message Kafka got later than that one.
        """
        self._check_open()
        self._operations.replay(queue, check_replay_group(group), since, after)

    def forget(self, queue: str, group: str) -> None:
        """
        See `Broker.forget`; subscriptions of this broker object are closed.

        Raises:
            CallerError: consumers of other broker objects or processes are in the group; stop them first.
        """
        self._check_open()
        self._operations.forget(queue, group)
        for place in [place for place in list(self._seen) if place[:2] == (queue, group)]:
            del self._seen[place]

    def close(self) -> None:
        """See `Broker.close`; its subscriptions are closed too."""
        if not self._closed:
            self._closed = True
            for subscription in list(self._subscriptions):
                subscription.close()
            self._clients.close()

    def _check_open(self) -> None:
        if self._closed:
            raise CallerError("this broker is closed; open another")


def _check_shape(spec: QueueSpec, topic: Topic) -> None:
    check_lanes(spec.name, spec.lanes, topic.partitions)
    if topic.compacted:
        raise QueueMismatch(
            f"queue {spec.name!r}: its topic's cleanup.policy is compact, which drops messages unread; "
            "change it, or declare another queue"
        )
