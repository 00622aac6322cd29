# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Looking at a topic without joining a group."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

from confluent_kafka import KafkaError, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # exported, though not in __all__

from tickrelay_messaging.brokers.base import Peeked
from tickrelay_messaging.brokers.kafka.admin import END, Offsets, Topics
from tickrelay_messaging.brokers.kafka.asking import PATIENCE
from tickrelay_messaging.brokers.kafka.clients import SLICE, Clients, Reader
from tickrelay_messaging.brokers.kafka.errors import ours, translated
from tickrelay_messaging.brokers.kafka.records import body_of, headers_of
from tickrelay_messaging.errors import BrokerUnavailable, ConfigurationError

_END_REACHED = KafkaError._PARTITION_EOF  # noqa: SLF001 - public, by librdkafka's names


def read(clients: Clients, queue: str, start: Mapping[int, int], limit: int) -> list[Message]:
    """
    Up to `limit` messages from each partition, in no order between partitions.

    Args:
        start: partition -> the offset to begin at.

    Raises:
        BrokerUnavailable: not all could be read within 15 s.
    """
    where = f"Kafka at {clients.settings.servers}, looking at queue {queue!r}"
    with clients.reader() as reader, translated(where):
        reader.assign([TopicPartition(queue, partition, offset) for partition, offset in start.items()])
        try:
            return _read(reader, dict.fromkeys(start, limit), where)
        finally:
            reader.unassign()


def _read(reader: Reader, wanted: dict[int, int], where: str) -> list[Message]:
    """
    Args:
        wanted: partition -> how many are wanted still; a partition at its end is dropped from it.
    """
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    while wanted:
        message = reader.poll(SLICE)
        if message is None:
            reader.complaints.check(where)
            if time.monotonic() >= deadline:
                raise BrokerUnavailable(f"{where}: no answer in {PATIENCE:g} s; {reader.complaints.last}")
            continue
        error = message.error()
        if error is not None and error.code() != _END_REACHED:
            raise ours(error, where)
        partition = cast("int", message.partition())
        if error is None and wanted.get(partition, 0) > 0:
            found.append(message)
            wanted[partition] -= 1
        if error is not None or wanted.get(partition) == 0:
            wanted.pop(partition, None)
    return found


def published_at(message: Message) -> float:
    """Seconds since the epoch."""
    instant: int = message.timestamp()[1]
    return instant / 1000


def peeked(message: Message, *, in_flight: bool) -> Peeked:
    """A message to look at."""
    position = f"{message.partition()}:{message.offset()}"
    return Peeked(position, headers_of(message), body_of(message), published_at(message), in_flight=in_flight)


def order(message: Message) -> tuple[int, int, int]:
    """The order of `peek`: by time, then by partition, and by offset in it."""
    return message.timestamp()[1], cast("int", message.partition()), cast("int", message.offset())


def start_behind(clients: Clients, topics: Topics, queue: str, after: str, lowest: Offsets) -> Offsets:
    """
    Where each partition goes on behind a position, in the order of `peek`.

    Args:
        after: `partition:offset`.
        lowest: where each partition begins.
    """
    partition, offset = place_of(after)
    if partition not in lowest:
        raise ConfigurationError(f"after={after!r} is no position of queue {queue!r}")
    found = read(clients, queue, {partition: offset}, 1)
    instant = found[0].timestamp()[1] if found else int(time.time() * 1000)
    # Of one time, those of lower partitions come before it.
    times = {other: instant + (other < partition) for other in lowest if other != partition}
    at = topics.offsets(queue, {other: OffsetSpec.for_timestamp(at) for other, at in times.items()})
    behind = {**or_ends(topics, queue, at), partition: offset + 1}
    return {other: max(first, behind[other]) for other, first in lowest.items()}


def or_ends(topics: Topics, queue: str, at: Offsets) -> Offsets:
    """Offsets found by a time, and the end where no message is as late."""
    late = [partition for partition, offset in at.items() if offset < 0]
    return {**at, **topics.offsets(queue, dict.fromkeys(late, END))} if late else at


def place_of(position: str) -> tuple[int, int]:
    """
    Partition and offset of a position.

    Raises:
        ConfigurationError: it isn't one of this broker's.
    """
    partition, _, offset = position.partition(":")
    if not all(part.isascii() and part.isdigit() for part in (partition, offset)):
        raise ConfigurationError(f"after={position!r} is no position of this broker; they look like 3:1250")
    return int(partition), int(offset)
