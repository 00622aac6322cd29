# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What queues and groups are called on RabbitMQ.

Queue `orders` is the exchange `tickrelay:orders`, its group `default` the queue `tickrelay:orders:default`. Lane 3 of 4
of that group is the queue `tickrelay:orders:default:3.4`. No name may hold a colon, so that names can't be mistaken for
each other, and one pattern, `^tickrelay:`, grants rights on all.

How many lanes there are is written in exchanges nobody publishes to, since whether an exchange exists is the one thing
that AMQP tells everybody, whatever their rights: `tickrelay:orders:lanes` where there are lanes, and one for each
binary digit of their number, as `tickrelay:orders:lanes:4`.
"""

from __future__ import annotations

from typing import NamedTuple

from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.brokers.lanes import MAX_LANES, check_lanes
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.errors import ConfigurationError

PREFIX = "tickrelay:"
MAX_SHORT = 255
"""Longest name in bytes that AMQP carries."""
DIGITS = tuple(1 << place for place in range(MAX_LANES.bit_length()))


class Place(NamedTuple):
    """What a RabbitMQ queue of ours stands for; `lanes` is 0 for a group's own queue."""

    queue: str
    group: str
    lanes: int = 0


def exchange_of(queue: str) -> str:
    """The exchange that takes a queue's messages."""
    return PREFIX + queue


def queue_of(queue: str, group: str) -> str:
    """RabbitMQ's queue for one group. With lanes no message goes there; its consumers are the group's members."""
    return f"{PREFIX}{queue}:{group}"


def lane_key(lane: int, lanes: int) -> str:
    """The routing key of a lane; it has the number too, so that nobody who is wrong about it reaches a wrong lane."""
    return f"{lane}.{lanes}"


def lane_queues_of(queue: str, group: str, lanes: int) -> list[str]:
    """RabbitMQ's queues for the lanes of one group, by number."""
    return [f"{queue_of(queue, group)}:{lane_key(lane, lanes)}" for lane in range(lanes)]


def mark_of(queue: str, digit: int | None = None) -> str:
    """The exchange that says that there are lanes, or that their number has a binary digit."""
    return f"{PREFIX}{queue}:lanes" + (f":{digit}" if digit else "")


def place_of(name: str) -> Place | None:
    """What the name of a RabbitMQ queue says, or None if it isn't ours."""
    queue, _, rest = name.removeprefix(PREFIX).partition(":")
    group, colon, lane = rest.partition(":")
    if not name.startswith(PREFIX) or not group:
        return None
    if not colon:
        return Place(queue, group)
    number, _, lanes = lane.partition(".")
    return Place(queue, group, int(lanes)) if number.isdigit() and lanes.isdigit() else None


def check_spec(spec: QueueSpec) -> None:
    """
    Raises:
        ConfigurationError: no group, no possible number of lanes, or a name that isn't allowed or too long together
            with the queue's.
    """
    check_name(spec.name)
    check_lanes(spec.name, spec.lanes)
    if not spec.groups:
        raise ConfigurationError(
            f"queue {spec.name!r}: it needs a group, or nobody would ever get its messages"
        )
    room = MAX_SHORT - len(f":{lane_key(spec.lanes, spec.lanes)}" if spec.lanes else "")
    for group in spec.groups:
        check_name(group, "group")
        if len(queue_of(spec.name, group)) > room:
            raise ConfigurationError(
                f"queue {spec.name!r}, group {group!r}: RabbitMQ allows both names together "
                f"{room - len(PREFIX) - 1} characters"
            )
