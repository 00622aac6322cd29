# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What queues and groups are called on RabbitMQ.

Queue `orders` is the exchange `tickrelay:orders`, its group `default` the queue `tickrelay:orders:default`. No name
may hold a colon, so that names can't be mistaken for each other, and one pattern, `^tickrelay:`, grants rights on all.
"""

from __future__ import annotations

from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.errors import ConfigurationError

PREFIX = "tickrelay:"
MAX_SHORT = 255
"""Longest name in bytes that AMQP carries."""


def exchange_of(queue: str) -> str:
    """The exchange that takes a queue's messages."""
    return PREFIX + queue


def queue_of(queue: str, group: str) -> str:
    """RabbitMQ's queue for one group."""
    return f"{PREFIX}{queue}:{group}"


def group_of(name: str) -> tuple[str, str] | None:
    """Queue and group behind the name of a RabbitMQ queue, or None if it isn't ours."""
    queue, colon, group = name.removeprefix(PREFIX).partition(":")
    return (queue, group) if name.startswith(PREFIX) and colon and ":" not in group else None


def check_spec(spec: QueueSpec) -> None:
    """
    Raises:
        ConfigurationError: no group, or a name that isn't allowed or too long together with the queue's.
    """
    check_name(spec.name)
    if not spec.groups:
        raise ConfigurationError(
            f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
        )
    for group in spec.groups:
        check_name(group, "group")
        if len(queue_of(spec.name, group)) > MAX_SHORT:
            raise ConfigurationError(
                f"queue {spec.name!r}, group {group!r}: RabbitMQ allows both names together "
                f"{MAX_SHORT - len(PREFIX) - 1} characters"
            )
