# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Kafka's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from tickrelay_messaging.errors import (
    BrokerUnavailable,
    CallerError,
    ConfigurationError,
    MessageTooLarge,
    QueueMismatch,
    TickrelayError,
    UnknownQueue,
)

_RIGHTS = "; the user lacks the right, which the cluster's administrator gives"

_OURS: dict[int, tuple[type[TickrelayError], str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: (UnknownQueue, "; declare the queue first"),
    KafkaError._UNKNOWN_TOPIC: (UnknownQueue, "; declare the queue first"),  # noqa: SLF001 - public, librdkafka's own
    KafkaError.TOPIC_EXCEPTION: (QueueMismatch, "; '.' and '_' are one letter to Kafka: choose another name"),
    KafkaError.MSG_SIZE_TOO_LARGE: (MessageTooLarge, "; raise the topic's max.message.bytes"),
    KafkaError.NON_EMPTY_GROUP: (CallerError, "; stop the group's consumers first"),
    KafkaError.UNKNOWN_MEMBER_ID: (CallerError, "; stop the group's consumers first"),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: (ConfigurationError, _RIGHTS),
    KafkaError.GROUP_AUTHORIZATION_FAILED: (ConfigurationError, _RIGHTS),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: (ConfigurationError, _RIGHTS),
    KafkaError.INVALID_PARTITIONS: (ConfigurationError, ""),
    KafkaError.INVALID_REPLICATION_FACTOR: (ConfigurationError, "; give a replication.factor in the URL"),
    KafkaError.INVALID_CONFIG: (ConfigurationError, ""),
    KafkaError.POLICY_VIOLATION: (ConfigurationError, ""),
    KafkaError._INVALID_ARG: (ConfigurationError, ""),  # noqa: SLF001
}


def ours(error: KafkaError, where: str, hint: str = "") -> TickrelayError:
    """
    The error to raise.

    Args:
        where: what was being done, in front of Kafka's own words.
        hint: what a client complained about lately; Kafka's own time-outs don't say why.
    """
    kind, advice = _OURS.get(error.code(), (BrokerUnavailable, f" ({hint})" if hint else ""))
    return kind(f"{where}: {error.str()} [{error.name()}]{advice}")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """No `KafkaException` leaves the block."""
    try:
        yield
    except KafkaException as error:
        raise ours(error.args[0], where) from error
