# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Queues as Redis Streams: a stream a queue, a consumer group a group. Redis 7.0 or Valkey 7.2 and later.

What is confirmed is as durable as the server makes it: `appendonly yes` with `appendfsync always` survives a power
failure, `everysec` may lose the last second, and without `appendonly` a restart loses what came after the last
snapshot. A failover loses what hadn't reached a replica, unless `?replicas=1` makes that part of the confirmation; then
`?sentinel=NAME` finds the new master. A server whose `maxmemory-policy` may evict queues is refused.

An entry is removed once every group has acknowledged it and the queue's retention is over: none, unless the URL of who
declares the queue says `?retention=SECONDS`. A consumer proves that it lives five times a `lease` (10 s); one that does
not loses its messages to its siblings, and its late acknowledgements are refused. A server that was down or asleep
costs nobody messages: consumers get another lease to show up in.

`RIGHTS` are those an ACL user needs. Not for a Redis Cluster: a queue lives on one server, and so does the list of
queues. Keys are named so that those of one queue would lie together, should that change. docs/operations/redis.md has
more for whoever runs the server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Self

from tickrelay_messaging.brokers.base import (
    DEFAULT_GROUP,
    Broker,
    Capabilities,
    GroupStats,
    Peeked,
    QueueSpec,
)
from tickrelay_messaging.brokers.redis.errors import OtherLanes
from tickrelay_messaging.brokers.redis.laned import LanedSubscription
from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.publishing import Publishing
from tickrelay_messaging.brokers.redis.pulse import Pulse
from tickrelay_messaging.brokers.redis.registry import Registry
from tickrelay_messaging.brokers.redis.subscription import RedisSubscription
from tickrelay_messaging.brokers.redis.url import Settings
from tickrelay_messaging.brokers.redis.views import Views
from tickrelay_messaging.brokers.redis.wire import Wire
from tickrelay_messaging.errors import UnknownQueue
from tickrelay_messaging.message import MAX_BODY, Message, check_publishable

_ANY_RIGHTS = "+info +client|id +eval +exists +select"
RIGHTS: Mapping[str, str] = {
    "publisher": f"{_ANY_RIGHTS} +hget +xadd +wait",
    "consumer": f"{_ANY_RIGHTS} +client|unblock +xread +xreadgroup +xack +xclaim +xpending +xrange +xinfo +xtrim"
    " +xgroup|delconsumer +time +hget +hgetall +hset +hdel +sadd +srem +scard +smembers"
    " +zadd +zrem +zscore +zcount +zrangebyscore (+xadd ~tickrelay:*:bell)",
    "viewer": f"{_ANY_RIGHTS} +smembers +hget +xinfo +xpending +xrange +zscore +zcount +time",
    "declarer": f"{_ANY_RIGHTS} +smembers +hget +hset +sadd +srem +unlink +time"
    " +xinfo +xpending +xrange +xtrim +xgroup|create +xgroup|destroy",
    "purger": f"{_ANY_RIGHTS} +hget +time +xinfo +xpending +xrange +xgroup|setid +xack +xtrim",
}
"""
What `ACL SETUSER name on >password ~tickrelay:* ...` must end with, by what the user does; they may be joined.

A publisher publishes; a consumer subscribes; a viewer lists queues, looks at statistics and peeks; a declarer declares,
replays and forgets groups; a purger purges. With a `?prefix=` of your own, write it wherever `tickrelay` stands.
"""


class RedisBroker(Broker):
    """
    Queues on one Redis server.

    Its `capabilities` say `durable` only if the server has `appendonly yes`, and `replay` only if its URL asks for a
    retention; `replay` itself works on every queue that has one.

    Args:
        settings: where it is, and how to get in.

    Raises:
        BrokerUnavailable: nobody answers there.
        BrokerRefused: the server refused the login, or isn't trusted.
        ConfigurationError: the server would lose messages.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = Pool(settings)
        self._pulse = Pulse(self._pool)
        self._registry, self._views = Registry(self._pool), Views(self._pool)
        self._lanes: dict[str, int] = {}
        with self._pool.borrow() as wire:
            durable = wire.is_durable
        self.capabilities = Capabilities(
            durable=durable,
            shared=True,
            peek=True,
            replay=bool(settings.retention),
            exact_stats=True,
            max_body=MAX_BODY,
            lanes=True,
        )

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The broker at `redis://user:password@host:6379/0`; the module `url` lists the options."""
        return cls(Settings.of(url))

    def declare(self, spec: QueueSpec) -> None:
        """See `Broker.declare`. A queue's first groups also see what others have put on its stream before."""
        self._registry.declare(spec)

    def queues(self) -> list[QueueSpec]:
        """See `Broker.queues`."""
        return self._registry.queues()

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """See `Broker.publish`: chunks of 250 messages, each stored whole or not at all, up to 16 under way."""
        deadline = time.monotonic() + timeout
        for message in messages:
            check_publishable(message)
        with self._pool.borrow(min(timeout, self._settings.timeout)) as wire:
            if messages:
                stored = self._stored(wire, queue, messages, deadline)
                if self._settings.replicas:
                    stored.replicate(self._settings.replicas)
            else:
                self._registry.check_declared(wire, queue)

    def _stored(self, wire: Wire, queue: str, messages: Sequence[Message], deadline: float) -> Publishing:
        keys = self._registry.keys(queue)
        of_queue = (keys.stream, keys.bell, keys.settings)
        while True:
            lanes = self._lanes.get(queue, 0)
            publishing = Publishing(wire, of_queue, messages, deadline, lanes=lanes)
            try:
                publishing.run()
            except OtherLanes as error:  # settled with the queue, so this is the first publish here
                self._lanes[queue] = error.lanes
            except UnknownQueue as error:
                raise self._registry.unknown(queue) from error
            else:
                return publishing

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> RedisSubscription:
        """See `Broker.subscribe`."""
        lanes, groups = self._registry.lanes_and_groups(queue)
        if group not in groups:
            raise self._registry.unknown(queue, group)
        if not self._pulse.is_ours:
            self._pulse = Pulse(self._pool)
        keys = self._registry.keys(queue)
        subscription = (
            LanedSubscription(self._pool, keys, group, lanes)
            if lanes
            else RedisSubscription(self._pool, keys, group)
        )
        try:
            self._pulse.add(subscription)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def stats(self, queue: str) -> list[GroupStats]:
        """See `Broker.stats`. What a dead consumer holds counts as ready."""
        return self._views.stats(queue)

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        """See `Broker.peek`. What is only retained for a replay isn't shown."""
        return self._views.peek(queue, "0-0" if after is None else after, limit)

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """See `Broker.purge`."""
        return self._views.purge(queue, group)

    def replay(self, queue: str, group: str, *, since: float | None = None, after: str | None = None) -> None:
        """See `Broker.replay`; as far back as the queue's retention reaches, or as some group still needs messages."""
        self._registry.replay(queue, group, since, after)

    def forget(self, queue: str, group: str) -> None:
        """See `Broker.forget`. With its last group a queue goes altogether; publishing to it is an error then."""
        self._registry.forget(queue, group)

    def close(self) -> None:
        """See `Broker.close`; its subscriptions are closed too."""
        for subscription in self._pulse.stop():
            subscription.close()
        self._pool.close()
