# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Queues as Redis Streams: a stream a queue, a consumer group a group. Redis 7.0 or Valkey 7.2 and later.

What is confirmed is as durable as the server makes it: `appendonly yes` with `appendfsync always` survives a power
failure, `everysec` may lose the last second, and without `appendonly` a restart loses what came after the last
snapshot. A failover loses what hadn't reached a replica, unless `?replicas=1` makes that part of the confirmation; then
`?sentinel=NAME` finds the new master. A server whose `maxmemory-policy` may evict queues is refused.

An entry is removed once every group has acknowledged it. A consumer proves that it lives five times a `lease`
(10 s); one that does not loses its messages to its siblings, and its late acknowledgements are refused. A server that
was down or asleep costs nobody messages: consumers get another lease to show up in.

`RIGHTS` are those an ACL user needs. Not for a Redis Cluster: a queue lives on one server, and so does the list of
queues. Keys are named so that those of one queue would lie together, should that change.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from tickrelay_messaging.brokers.base import (
    DEFAULT_GROUP,
    Broker,
    Capabilities,
    GroupStats,
    Peeked,
    QueueSpec,
)
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.brokers.redis import scripts
from tickrelay_messaging.brokers.redis import view_scripts as views
from tickrelay_messaging.brokers.redis.entries import unpack
from tickrelay_messaging.brokers.redis.keys import Keys
from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.publishing import Publishing
from tickrelay_messaging.brokers.redis.pulse import Pulse
from tickrelay_messaging.brokers.redis.subscription import RedisSubscription
from tickrelay_messaging.brokers.redis.url import Settings
from tickrelay_messaging.brokers.redis.wire import Argument, pairs
from tickrelay_messaging.errors import ConfigurationError, UnknownQueue
from tickrelay_messaging.message import MAX_BODY, Message, check_publishable

_ANY_RIGHTS = "+info +client|id +eval +exists +select"
RIGHTS: Mapping[str, str] = {
    "publisher": f"{_ANY_RIGHTS} +xadd +wait",
    "consumer": f"{_ANY_RIGHTS} +client|unblock +xreadgroup +xack +xclaim +xpending +xrange +xinfo +xtrim +xadd"
    " +xgroup|delconsumer +time +zadd +zrem +zscore +zrangebyscore",
    "declarer": f"{_ANY_RIGHTS} +xinfo +xgroup|create +sadd",
    "viewer": f"{_ANY_RIGHTS} +smembers +xinfo +xpending +xrange +zscore +zcount +time",
    "purger": f"{_ANY_RIGHTS} +xinfo +xpending +xrange +xgroup|setid +xack +xtrim",
}
"""What `ACL SETUSER name on >password ~tickrelay:* ...` must end with, by what the user does; they may be joined."""


class RedisBroker(Broker):
    """
    Queues on one Redis server. Its `capabilities` say `durable` only if the server has `appendonly yes`.

    Args:
        settings: where it is, and how to get in.

    Raises:
        BrokerUnavailable: nobody answers there.
        ConfigurationError: the server refused the login, or would lose messages.
    """

    capabilities = Capabilities(
        durable=True, shared=True, peek=True, replay=False, exact_stats=True, max_body=MAX_BODY
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = Pool(settings)
        self._pulse = Pulse(self._pool)
        with self._pool.borrow() as wire:
            durable = wire.is_durable
        self.capabilities = replace(type(self).capabilities, durable=durable)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The broker at `redis://user:password@host:6379/0`; `_redis_url` lists the options."""
        return cls(Settings.of(url))

    def declare(self, spec: QueueSpec) -> None:
        """See `Broker.declare`. A queue's first groups also see what others have put on its stream before."""
        check_name(spec.name)
        if not spec.groups:
            raise ConfigurationError(
                f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
            )
        groups = [check_name(group, "group") for group in spec.groups]
        keys = self._keys(spec.name)
        command = ("EVAL", scripts.DECLARE, 3, keys.queues, keys.stream, keys.bell)
        with self._pool.borrow() as wire:
            wire.call(*command, spec.name, *groups)

    def queues(self) -> list[QueueSpec]:
        """See `Broker.queues`."""
        with self._pool.borrow() as wire:
            names = sorted(name.decode() for name in wire.call("SMEMBERS", self._keys("").queues))
            questions = [("XINFO", "GROUPS", self._keys(name).stream) for name in names]
            answers = wire.call_all(questions) if names else []
        groups = [tuple(pairs(row)[b"name"].decode() for row in answer) for answer in answers]
        return [QueueSpec(name, found) for name, found in zip(names, groups, strict=True)]

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """See `Broker.publish`: chunks of 250 messages, each stored whole or not at all, up to 16 under way."""
        deadline = time.monotonic() + timeout
        for message in messages:
            check_publishable(message)
        keys = self._keys(queue)
        with self._pool.borrow(min(timeout, self._settings.timeout)) as wire:
            if messages:
                publishing = Publishing(wire, (keys.stream, keys.bell), messages, deadline)
                publishing.run()
                if self._settings.replicas:
                    publishing.replicate(self._settings.replicas)
            elif wire.call("EXISTS", keys.stream, keys.bell) < 2:  # noqa: PLR2004 - both
                raise self._unknown(queue)

    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> RedisSubscription:
        """See `Broker.subscribe`."""
        keys = self._keys(queue)
        with self._pool.borrow() as wire:
            if wire.call("EXISTS", keys.stream, keys.bell) < 2:  # noqa: PLR2004 - both
                raise self._unknown(queue)
            groups = [pairs(row)[b"name"] for row in wire.call("XINFO", "GROUPS", keys.bell)]
        if group.encode("utf-8", "replace") not in groups:
            raise self._unknown(queue, group)
        if not self._pulse.is_ours:
            self._pulse = Pulse(self._pool)
        subscription = RedisSubscription(self._pool, keys, group)
        try:
            self._pulse.add(subscription)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def stats(self, queue: str) -> list[GroupStats]:
        """See `Broker.stats`. What a dead consumer holds counts as ready."""
        keys = self._keys(queue)
        rows = self._ask(queue, views.STATS, keys.stream, keys.bell, keys.members())
        return [
            GroupStats(
                queue=queue,
                group=name.decode(),
                ready=ready,
                in_flight=in_flight,
                oldest_age=None if age < 0 else age / 1000,
                consumers=consumers,
                published=published,
            )
            for name, ready, in_flight, age, consumers, published in rows
        ]

    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        """See `Broker.peek`."""
        first, dash, second = (after or "0-0").partition("-")
        if not (dash and (first + second).isascii() and first.isdigit() and second.isdigit()):
            raise ConfigurationError(f"after={after!r} is no position of this broker")
        if limit < 1:
            return []
        keys = self._keys(queue)
        rows, held = self._ask(queue, views.PEEK, keys.stream, keys.bell, arguments=(after or "0-0", limit))
        in_flight = set(held)
        return [
            Peeked(
                position.decode(),
                *unpack(fields),
                published_at=int(position.partition(b"-")[0]) / 1000,
                in_flight=position in in_flight,
            )
            for position, fields in rows
        ]

    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """See `Broker.purge`."""
        keys = self._keys(queue)
        dropped: int = self._ask(queue, views.PURGE, keys.stream, keys.bell, arguments=(group,))
        return dropped

    def forget(self, queue: str, group: str) -> None:
        """See `Broker.forget`."""
        raise NotImplementedError

    def close(self) -> None:
        """See `Broker.close`; its subscriptions are closed too."""
        for subscription in self._pulse.stop():
            subscription.close()
        self._pool.close()

    def _ask(self, queue: str, script: str, *keys: bytes, arguments: Sequence[Argument] = ()) -> Any:
        try:
            with self._pool.borrow() as wire:
                return wire.call("EVAL", script, len(keys), *keys, *arguments)
        except UnknownQueue as error:
            raise self._unknown(queue) from error

    def _keys(self, queue: str) -> Keys:
        return Keys(self._settings.prefix, queue)

    def _unknown(self, queue: str, group: str | None = None) -> UnknownQueue:
        what = f"queue {queue!r}" if group is None else f"queue {queue!r} with a group {group!r}"
        return UnknownQueue(f"{what} was never declared at {self._settings.where}; declare it first")
