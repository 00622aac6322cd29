# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Publishing: pipelined, idempotent, confirmed by all replicas in sync.

librdkafka reports failures only: when its queue has drained, every message without a report is confirmed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from tickrelay_messaging.brokers.chunks import chunked
from tickrelay_messaging.brokers.kafka.admin import Topic, Topics
from tickrelay_messaging.brokers.kafka.clients import Clients, metadata
from tickrelay_messaging.brokers.kafka.clients import Sender as Client
from tickrelay_messaging.brokers.kafka.errors import Complaints, ours
from tickrelay_messaging.brokers.kafka.settings import OVERHEAD
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.errors import (
    BrokerRefused,
    CallerError,
    MessageTooLarge,
    PublishUnconfirmed,
)
from tickrelay_messaging.message import Message

CHUNK, CHUNK_BYTES = 50_000, 64 << 20
"""Most messages and bytes in flight at one time."""
ROUNDS = 8
"""How often at least a chunk's messages without a key go round the partitions."""
GIVING_UP = 2.0
"""Longest time in seconds to learn from librdkafka which messages it gave up."""
_RECORD = 100
"""Most bytes of a record and its batch beside key, value and headers."""
_UNREPORTED = KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001 - public, by librdkafka's names
_ENDED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._FATAL})  # noqa: SLF001
"""What a fatal error makes of messages that were never sent."""


class Publisher:
    """Thread-safe."""

    def __init__(self, clients: Clients, topics: Topics) -> None:
        self._clients = clients
        self._topics = topics
        self._turn = count()

    def send(self, queue: str, topic: Topic, messages: Sequence[Message], deadline: float) -> None:
        """
        Send and wait until all are confirmed.

        Args:
            deadline: by `time.monotonic`; what isn't confirmed by then is given up.

        Raises:
            As `Broker.publish`.
        """
        _check_sizes(messages, topic.limit)
        with suppress(_Failed), self._clients.producer(deadline) as producer:
            self._prepare(producer, queue, deadline)
            start = 0
            for chunk in chunked(messages, CHUNK, CHUNK_BYTES):
                failed: dict[int, KafkaError] = {}
                self._send_chunk(_Sender(producer, deadline, failed), (queue, topic.partitions), chunk)
                if not _drain(producer, deadline):
                    failed = {**dict.fromkeys(range(len(chunk)), _UNREPORTED), **failed}
                if failed:
                    complaints = producer.complaints
                    raise _Failed
                start += len(chunk)
            return
        confirmed = start + len(chunk) - len(failed)
        unconfirmed = [chunk[index].id for index in sorted(failed)]
        unconfirmed += [message.id for message in messages[start + len(chunk) :]]
        raise self._error(queue, confirmed, unconfirmed, (failed, complaints))

    def _prepare(self, producer: Client, queue: str, deadline: float) -> None:
        if queue not in producer.asked:
            metadata(producer, deadline, f"{self._where(queue)}, nothing was sent", queue)
            producer.asked.add(queue)

    def _send_chunk(self, sender: _Sender, place: tuple[str, int], chunk: Sequence[Message]) -> None:
        """
        Hand messages to the producer.

        Those without a key go round, so that all consumers have work, in runs, since Kafka takes a partition's messages
        together; a key's place is the partitioner's choice.
        """
        queue, partitions = place
        first, run = next(self._turn), 1 + len(chunk) // (ROUNDS * partitions)
        produce, failed = sender.producer.produce, sender.failed
        for index, message in enumerate(chunk):
            partition = (first + index // run) % partitions if message.key is None else -1
            headers: Any = encode(message)  # the stub wants a dict that may hold None
            report = partial(_note, failed, index)
            try:
                produce(queue, message.body, message.key, partition, report, headers=headers)
            except BufferError:
                sender.send_later(index, queue, partition, message)
            except KafkaException as error:
                failed[index] = error.args[0]

    def _error(
        self, queue: str, confirmed: int, ids: Sequence[str], why: tuple[dict[int, KafkaError], Complaints]
    ) -> CallerError | BrokerRefused | PublishUnconfirmed:
        self._topics.forget(queue)
        failed, complaints = why
        reason = None if confirmed else _common_reason(failed, complaints.fatal)
        where = self._where(queue)
        if reason is not None:
            refusal = ours(reason, f"{where}, messages {', '.join(map(repr, ids[:5]))}")
            if isinstance(refusal, CallerError | BrokerRefused):
                return refusal
        reasons = Counter(error.name() for error in failed.values())
        said = ", ".join(f"{name} ({number:,})" for name, number in reasons.most_common())
        said += f"; {complaints.last}" if complaints.last else ""
        text = f"{where}: {confirmed:,} messages confirmed, {len(ids):,} not, from {ids[0]!r} on: {said}"
        return PublishUnconfirmed(text, ids)

    def _where(self, queue: str) -> str:
        return f"queue {queue!r} on Kafka at {self._clients.settings.servers}"


@dataclass(slots=True)
class _Sender:
    """
    One chunk's way into a producer.

    Attributes:
        deadline: by `time.monotonic`.
        failed: index in the chunk -> why it isn't confirmed.
    """

    producer: Producer
    deadline: float
    failed: dict[int, KafkaError]

    def send_later(self, index: int, queue: str, partition: int, message: Message) -> None:
        """The producer's memory is full (large headers): hand it a message after what is in it."""
        headers: Any = encode(message)
        report = partial(_note, self.failed, index)
        self.producer.flush(max(0.0, self.deadline - time.monotonic()))
        try:
            self.producer.produce(queue, message.body, message.key, partition, report, headers=headers)
        except BufferError:
            self.failed[index] = _UNREPORTED
        except KafkaException as error:
            self.failed[index] = error.args[0]


def _note(failed: dict[int, KafkaError], index: int, error: KafkaError, _: object) -> None:
    failed[index] = error


def _common_reason(failed: dict[int, KafkaError], fatal: KafkaError | None) -> KafkaError | None:
    """Why none of these was taken, if it's one reason for all."""
    codes = {error.code() for error in failed.values()}
    if fatal is not None and codes <= _ENDED | {fatal.code()}:
        return fatal
    return next(iter(failed.values())) if len(codes) == 1 and not codes & _PURGED else None


class _Failed(Exception):
    """Spoils the producer it is raised through: it may have purged, or be in a state it can't leave."""


def _drain(producer: Producer, deadline: float) -> bool:
    """Wait for every report, give up what has none by the deadline; False if even that wasn't reported."""
    if not producer.flush(max(0.0, deadline - time.monotonic())):
        return True
    producer.purge()
    return not producer.flush(GIVING_UP)


def _check_sizes(messages: Sequence[Message], limit: int | None) -> None:
    if limit is None:
        return
    for message in messages:
        if len(message.body) > limit - OVERHEAD and (size := _size(message)) > limit:
            what = f"message {message.id!r}: {size:,} bytes with its headers"
            raise MessageTooLarge(f"{what}, over the topic's max.message.bytes of {limit:,}")


def _size(message: Message) -> int:
    texts = [text for pair in encode(message).items() for text in pair]
    return (
        len(message.body)
        + len((message.key or "").encode())
        + len("".join(texts).encode())
        + len(texts)
        + _RECORD
    )
