# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which queues and groups there are at a Redis server, and what was settled when they were made."""

from __future__ import annotations

import math

from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.brokers.lanes import check_lanes
from tickrelay_messaging.brokers.names import check_name, check_replay_group
from tickrelay_messaging.brokers.redis import registry_scripts as scripts
from tickrelay_messaging.brokers.redis.desk import Desk, position_of
from tickrelay_messaging.brokers.redis.errors import GroupExists, NothingRetained
from tickrelay_messaging.brokers.redis.wire import Argument, Wire, pairs
from tickrelay_messaging.errors import ConfigurationError, QueueMismatch

_OLDEST = "0-0"
_LAST_OF_A_MILLISECOND = (1 << 64) - 1


class Registry(Desk):
    """What `RedisBroker` does to queues as a whole; see `Broker` for what each of these means."""

    def declare(self, spec: QueueSpec) -> None:
        """Also settles how long messages are retained, if this broker's URL says it."""
        check_name(spec.name)
        check_lanes(spec.name, spec.lanes)
        if not spec.groups:
            raise ConfigurationError(
                f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
            )
        groups = [check_name(group, "group") for group in spec.groups]
        keys, retention = self.keys(spec.name), self.settings.retention
        kept: str | int = "" if retention is None else int(retention * 1000)
        of_queue = (keys.queues, keys.stream, keys.bell, keys.settings)
        lanes = self.ask(spec.name, scripts.DECLARE, of_queue, spec.name, spec.lanes, kept, *groups)
        if lanes >= 0:
            check_lanes(spec.name, spec.lanes, lanes)

    def queues(self) -> list[QueueSpec]:
        """By name."""
        rows = self.ask("", scripts.QUEUES, (self.keys("").queues,), self.settings.prefix)
        return [
            QueueSpec(name.decode(), tuple(group.decode() for group in groups), int(lanes))
            for name, lanes, groups in sorted(rows)
        ]

    def forget(self, queue: str, group: str) -> None:
        """The queue itself goes with its last group."""
        keys = self.keys(queue)
        of_queue = (keys.queues, keys.stream, keys.bell, keys.settings)
        self.ask(queue, scripts.FORGET, of_queue, queue, group)

    def replay(self, queue: str, group: str, since: float | None, after: str | None) -> None:
        """From among what the queue retains."""
        check_replay_group(group)
        start = _start(queue, since, after)
        keys = self.keys(queue)
        of_queue = (keys.stream, keys.bell, keys.settings)
        try:
            self.ask(queue, scripts.REPLAY, of_queue, group, start, self._count_up_to(queue, start))
        except GroupExists as error:
            raise QueueMismatch(
                f"queue {queue!r} has a group {group!r} already, and it isn't set back; forget it, or take another name"
            ) from error
        except NothingRetained as error:
            raise ConfigurationError(
                f"queue {queue!r}, group {group!r}: this queue keeps no acknowledged messages to replay; "
                "from its next declaration with a retention in RedisBroker's URL, such as ?retention=3600, it does"
            ) from error

    def check_declared(self, wire: Wire, queue: str) -> None:
        """
        See that a queue is there.

        Raises:
            UnknownQueue: it isn't.
        """
        keys = self.keys(queue)
        if wire.call("EXISTS", keys.stream, keys.bell) < 2:  # noqa: PLR2004 - both
            raise self.unknown(queue)

    def lanes_and_groups(self, queue: str) -> tuple[int, set[str]]:
        """
        What a consumer has to know of its queue.

        Raises:
            UnknownQueue: there is no such queue.
        """
        keys = self.keys(queue)
        with self.pool.borrow() as wire:
            self.check_declared(wire, queue)
            asked: list[tuple[Argument, ...]] = [
                ("HGET", keys.settings, "lanes"),
                ("XINFO", "GROUPS", keys.bell),
            ]
            lanes, rows = wire.call_all(asked)
        return int(lanes or 0), {pairs(row)[b"name"].decode() for row in rows}

    def _count_up_to(self, queue: str, end: str) -> int:
        """How many messages were ever published up to an id, so that a group that begins behind it knows its lag."""
        keys = self.keys(queue)
        total, first = 0, "-"
        before: int
        count: int
        while True:
            before, count, last = self.ask(queue, scripts.COUNT, (keys.stream, keys.bell), first, end)
            total += count + (before if first == "-" else 0)
            if not count:
                return total
            first = f"({last.decode()}"


def _start(queue: str, since: float | None, after: str | None) -> str:
    """The id to begin behind."""
    if since is not None and after is not None:
        raise ConfigurationError(f"queue {queue!r}: give since={since} or after={after!r}, not both")
    if after is not None:
        return position_of(after)
    if since is None:
        return _OLDEST
    if not math.isfinite(since):
        raise ConfigurationError(f"queue {queue!r}: since={since} is no instant; give seconds since 1970")
    milliseconds = max(0, math.floor(since * 1000))
    return f"{milliseconds - 1}-{_LAST_OF_A_MILLISECOND}" if milliseconds else _OLDEST
