# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Looking at queues of the Redis broker, and emptying them."""

from __future__ import annotations

from tickrelay_messaging.brokers.base import GroupStats, Peeked
from tickrelay_messaging.brokers.redis import view_scripts as scripts
from tickrelay_messaging.brokers.redis.desk import Desk, position_of
from tickrelay_messaging.brokers.redis.entries import unpack


class Views(Desk):
    """What `RedisBroker` answers to those who look; see `Broker` for what each of these means."""

    def stats(self, queue: str) -> list[GroupStats]:
        """What a dead consumer holds counts as ready."""
        keys = self.keys(queue)
        rows = self.ask(queue, scripts.STATS, (keys.stream, keys.bell, keys.members()))
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

    def peek(self, queue: str, after: str, limit: int) -> list[Peeked]:
        """Also of a queue that retains messages, only those some group hasn't acknowledged."""
        position_of(after)
        if limit < 1:
            return []
        keys = self.keys(queue)
        rows, held = self.ask(queue, scripts.PEEK, (keys.stream, keys.bell), after, limit)
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

    def purge(self, queue: str, group: str) -> int:
        """What was given back counts as ready."""
        keys = self.keys(queue)
        dropped: int = self.ask(queue, scripts.PURGE, (keys.stream, keys.bell), group)
        return dropped
