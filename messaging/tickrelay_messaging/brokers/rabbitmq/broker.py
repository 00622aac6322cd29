# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The broker on RabbitMQ (3.10 or later), by AMQP 0-9-1.

`amqp://user:password@host:5672/vhost?option=value&...`, or `amqps://` for TLS. Without a path the vhost is `/`.

====================  ==================================================================================
option                meaning
====================  ==================================================================================
`hosts`               further nodes of the cluster, `host:port` with commas between; tried in turn
`prefetch`            most messages one subscription holds unacknowledged; 500
`heartbeat`           seconds; 30
`connect_timeout`     seconds for TCP, TLS and login together; 10
`auth`                `plain` (user and password, the default) or `external` (the certificate's name)
`cafile`              certificates to trust instead of the system's
`certfile` `keyfile`  the client's certificate and key (mTLS), PEM
`server_name`         the name the server's certificate must have, if it isn't the host's
`verify`              `no` accepts any certificate
`management`          `http[s]://[user:password@]host:15672`, the management API
====================  ==================================================================================

A queue is a durable fanout exchange `tickrelay:QUEUE`; each group is a quorum queue `tickrelay:QUEUE:GROUP`, bound to
it. With lanes the exchange is a direct one, and each group has a quorum queue more for each lane, with a single active
consumer. `docs/operations/rabbitmq.md` has the rights that publishers, consumers and viewers need.

What AMQP can't tell:

- Which queues there are: `queues` lists what the management API lists, without one what this process declared or used.
- How many messages are in flight: `stats` has it from the management API, a few seconds old; without one it is None.
  How old the oldest is: never.
- What is in a queue without taking it: there is no `peek`, and no `replay` of what was acknowledged.
- Whether an acknowledgement arrived: one that a broken connection swallowed shows as a message that comes again.

A quorum queue needs a moment to be as durable as its messages: RabbitMQ 3.10 killed less than a second after a group
was declared loses the group, confirmed messages included. Declare queues when deploying, not before each publish.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
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
from tickrelay_messaging.brokers.rabbitmq import settings
from tickrelay_messaging.brokers.rabbitmq.call import Route
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.brokers.rabbitmq.names import exchange_of
from tickrelay_messaging.brokers.rabbitmq.publisher import Publisher
from tickrelay_messaging.brokers.rabbitmq.subscription import RabbitSubscription
from tickrelay_messaging.brokers.rabbitmq.topology import Topology
from tickrelay_messaging.brokers.rabbitmq.wire import check_sendable
from tickrelay_messaging.errors import CallerError
from tickrelay_messaging.message import MAX_BODY, Message

_brokers: WeakSet[RabbitBroker] = WeakSet()


class RabbitBroker(Broker):
    """
    Queues on RabbitMQ; connects at the first use, once to publish and once for everything else.

    Args:
        url: see this module's text.

    Raises:
        ConfigurationError: the URL says something that isn't allowed.
    """

    capabilities = Capabilities(
        durable=True, shared=True, peek=False, replay=False, exact_stats=False, max_body=MAX_BODY, lanes=True
    )

    def __init__(self, url: str) -> None:
        self._settings = settings.read(url)
        self._subscriptions: WeakSet[RabbitSubscription] = WeakSet()
        self._closed = False
        self._begin()
        _brokers.add(self)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The broker at `amqp://...` or `amqps://...`."""
        return cls(url)

    def declare(self, spec: QueueSpec) -> None:
        """See `Broker.declare`; both names together must fit into 244 characters."""
        self._topology.declare(spec)

    def queues(self) -> list[QueueSpec]:
        """See `Broker.queues`: all of them with the management API, else those this process declared or used."""
        return self._topology.specs()

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """
        See `Broker.publish`. Also raises `PublishUnconfirmed` where no group is there to take the messages.

        A connection that was lost is waited for, as long as nothing was sent; one that never was isn't.
        """
        deadline = time.monotonic() + timeout
        check_sendable(messages)
        lanes = self._topology.check(queue, deadline)
        if messages:
            self._publisher.publish(Route(exchange_of(queue), lanes), messages, deadline)

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> RabbitSubscription:
        """See `Broker.subscribe`; fetches nothing before the first `receive`."""
        subscription = RabbitSubscription(self._link, self._topology.check_group(queue, group))
        self._subscriptions.add(subscription)
        return subscription

    def stats(self, queue: str) -> list[GroupStats]:
        """See `Broker.stats`; this module's text says what isn't known."""
        held = self._topology.unacknowledged(queue)
        counted = [(group, self._topology.count(queue, group)) for group in self._topology.groups(queue)]
        return [
            GroupStats(
                queue=queue,
                group=group,
                ready=counts.ready,
                in_flight=None if held is None else held.get(group, 0),
                oldest_age=None,
                consumers=counts.consumers,
            )
            for group, counts in counted
            if counts is not None
        ]

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:  # noqa: ARG002
        """
        See `Broker.peek`.

        Raises:
            CallerError: always; to look at a message, RabbitMQ has to hand it out, and counts that.
        """
        raise CallerError(
            f"queue {queue!r}: RabbitMQ can't show messages without taking them (capabilities.peek is False)"
        )

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """See `Broker.purge`; what other processes have fetched ahead counts as in flight."""
        dropped = self._topology.purge(self._topology.check_group(queue, group))
        return dropped + sum(subscription.drop_buffered() for subscription in self._ours(queue, group))

    def forget(self, queue: str, group: str) -> None:
        """See `Broker.forget`; the queue is kept without groups, and what is published there isn't confirmed."""
        for subscription in self._ours(queue, group):
            subscription.close()
        self._topology.forget_group(queue, group)

    def close(self) -> None:
        """See `Broker.close`; its subscriptions are closed too."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()
        self._link.close()
        self._publishing.close()

    def _ours(self, queue: str, group: str) -> list[RabbitSubscription]:
        return [one for one in list(self._subscriptions) if (one.queue, one.group) == (queue, group)]

    def _begin(self) -> None:
        self._link, self._publishing = Link(self._settings), Link(self._settings)
        self._topology = Topology(self._link, self._settings.management)
        self._publisher = Publisher(self._publishing, self._topology.forget_exchange)

    def _forked(self) -> None:
        """In the child: leave the parent's connections alone, and have own ones."""
        self._link.abandon()
        self._publishing.abandon()
        self._subscriptions = WeakSet()
        self._begin()
        if self._closed:
            self.close()


def _after_fork() -> None:
    for broker in list(_brokers):
        broker._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)
