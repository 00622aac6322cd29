# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Errands about exchanges and quorum queues: made, looked for, counted, emptied and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.brokers.rabbitmq.errands import Steps, order
from tickrelay_messaging.brokers.rabbitmq.names import (
    DIGITS,
    PREFIX,
    exchange_of,
    lane_key,
    lane_queues_of,
    mark_of,
    queue_of,
)

_ONE_AT_A_TIME = {"x-single-active-consumer": True}


class Counts(NamedTuple):
    """What passive declarations tell about one group: messages ready, consumers."""

    ready: int
    consumers: int


def make(spec: QueueSpec, arguments: Mapping[str, Any], channel: Any) -> Steps[None]:
    """Declare all of it; a group's own queue comes last, so that where it is, its lanes are too."""
    yield from (_make_laned if spec.lanes else _make_plain)(spec, channel)
    for group in spec.groups:
        for lane, name in enumerate(lane_queues_of(spec.name, group, spec.lanes)):
            laned = {**arguments, **_ONE_AT_A_TIME}
            yield order(channel.queue_declare, name, durable=True, arguments=laned)
            yield order(channel.queue_bind, name, exchange_of(spec.name), lane_key(lane, spec.lanes))
        name = queue_of(spec.name, group)
        yield order(channel.queue_declare, name, durable=True, arguments=dict(arguments))
        if not spec.lanes:
            yield order(channel.queue_bind, name, exchange_of(spec.name))


def _make_plain(spec: QueueSpec, channel: Any) -> Steps[None]:
    yield order(channel.exchange_declare, exchange_of(spec.name), exchange_type="fanout", durable=True)
    # May be left from a queue with lanes whose exchange somebody deleted.
    yield order(channel.exchange_delete, mark_of(spec.name))


def _make_laned(spec: QueueSpec, channel: Any) -> Steps[None]:
    """
    Of two who declare different numbers at once only one may win. RabbitMQ compares an exchange's alternate, so its
    name has the number; there is no such exchange, hence what no lane takes is returned as ever.
    """
    number = {"alternate-exchange": f"{PREFIX}lanes:{spec.lanes}"}
    yield order(
        channel.exchange_declare,
        exchange_of(spec.name),
        exchange_type="direct",
        durable=True,
        arguments=number,
    )
    for digit in DIGITS:
        mark = mark_of(spec.name, digit)
        if spec.lanes & digit:
            yield order(channel.exchange_declare, mark, durable=True, internal=True)
        else:
            yield order(channel.exchange_delete, mark)
    yield order(channel.exchange_declare, mark_of(spec.name), durable=True, internal=True)


def look_for_exchange(name: str, channel: Any) -> Steps[None]:
    """UnknownQueue if it isn't there."""
    yield order(channel.exchange_declare, name, passive=True)


def look_for_queue(name: str, channel: Any) -> Steps[None]:
    """UnknownQueue if it isn't there."""
    yield order(channel.queue_declare, name, passive=True)


def count(spec: QueueSpec, channel: Any) -> Steps[Counts]:
    """Count the spec's one group: messages of all lanes, consumers of its own queue, which each member is."""
    (group,) = spec.groups
    answer = yield order(channel.queue_declare, queue_of(spec.name, group), passive=True)
    ready, consumers = answer.method.message_count, answer.method.consumer_count
    for name in lane_queues_of(spec.name, group, spec.lanes):
        answer = yield order(channel.queue_declare, name, passive=True)
        ready += answer.method.message_count
    return Counts(ready, consumers)


def purge(spec: QueueSpec, channel: Any) -> Steps[int]:
    """Empty the spec's one group."""
    (group,) = spec.groups
    dropped = 0
    for name in (queue_of(spec.name, group), *lane_queues_of(spec.name, group, spec.lanes)):
        answer = yield order(channel.queue_purge, name)
        dropped += answer.method.message_count
    return dropped


def delete(spec: QueueSpec, channel: Any) -> Steps[None]:
    """Delete the spec's one group, its own queue first: from then on it isn't there. RabbitMQ forgets the bindings."""
    (group,) = spec.groups
    for name in (queue_of(spec.name, group), *lane_queues_of(spec.name, group, spec.lanes)):
        yield order(channel.queue_delete, name)
