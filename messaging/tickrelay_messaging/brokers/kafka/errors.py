# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Kafka's errors as ours, and what a client complains about between them.

librdkafka never gives up connecting: a refused login or certificate is only a complaint of its error callback, while
the call that needed the connection goes on waiting. `Complaints` tells what is final from what may pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from tickrelay_messaging.errors import (
    BrokerRefused,
    BrokerUnavailable,
    CallerError,
    ConfigurationError,
    MessageTooLarge,
    QueueMismatch,
    TickrelayError,
    UnknownQueue,
)

_RIGHTS = (
    "; this user lacks the right, which kafka-acls.sh gives: RIGHTS in tickrelay_messaging.brokers.kafka"
)
_LOGIN = "; correct user, password and sasl.mechanism"
_TLS = (
    "; give the right ssl.ca.location, ssl.certificate.location and ssl.key.location, or renew what has expired, "
    "or connect by the name the certificate was issued to"
)

_OURS: dict[int, tuple[type[TickrelayError], str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: (UnknownQueue, "; declare the queue first"),
    KafkaError._UNKNOWN_TOPIC: (UnknownQueue, "; declare the queue first"),  # noqa: SLF001 - public, librdkafka's own
    KafkaError.TOPIC_EXCEPTION: (QueueMismatch, "; '.' and '_' are one letter to Kafka: choose another name"),
    KafkaError.MSG_SIZE_TOO_LARGE: (MessageTooLarge, "; raise the topic's max.message.bytes"),
    KafkaError.NON_EMPTY_GROUP: (CallerError, "; stop the group's consumers first"),
    KafkaError.UNKNOWN_MEMBER_ID: (CallerError, "; stop the group's consumers first"),
    KafkaError.GROUP_ID_NOT_FOUND: (UnknownQueue, "; declare the group first"),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: (BrokerRefused, _RIGHTS),
    KafkaError.GROUP_AUTHORIZATION_FAILED: (BrokerRefused, _RIGHTS),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: (BrokerRefused, _RIGHTS),
    KafkaError.SASL_AUTHENTICATION_FAILED: (BrokerRefused, _LOGIN),
    KafkaError.UNSUPPORTED_SASL_MECHANISM: (BrokerRefused, _LOGIN),
    KafkaError._AUTHENTICATION: (BrokerRefused, _LOGIN),  # noqa: SLF001
    KafkaError._SSL: (BrokerRefused, _TLS),  # noqa: SLF001
    KafkaError.INVALID_PARTITIONS: (ConfigurationError, ""),
    KafkaError.INVALID_REPLICATION_FACTOR: (ConfigurationError, "; give a replication.factor in the URL"),
    KafkaError.INVALID_CONFIG: (ConfigurationError, ""),
    KafkaError.POLICY_VIOLATION: (ConfigurationError, ""),
    KafkaError._INVALID_ARG: (ConfigurationError, ""),  # noqa: SLF001
}
_ALERTS = ("alert certificate", "alert bad certificate", "alert unknown ca", "alert handshake failure")
"""A server's words for a client's certificate; TLS 1.3 says them after the handshake, as of a lost connection."""


def ours(error: KafkaError, where: str, hint: str = "") -> TickrelayError:
    """
    The error to raise.

    Args:
        where: what was being done, in front of Kafka's own words.
        hint: what a client complained about lately; Kafka's own time-outs don't say why.
    """
    default = (
        (BrokerRefused, _TLS) if is_refusal(error) else (BrokerUnavailable, f" ({hint})" if hint else "")
    )
    kind, advice = _OURS.get(error.code(), default)
    return kind(f"{where}: {error.str()} [{error.name()}]{advice}")


def is_refusal(error: KafkaError) -> bool:
    """Whether the cluster is there and says no."""
    kind, _ = _OURS.get(error.code(), (None, ""))
    return kind is BrokerRefused or any(alert in error.str() for alert in _ALERTS)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """No `KafkaException` leaves the block."""
    try:
        yield
    except KafkaException as error:
        raise ours(error.args[0], where) from error


class Complaints:
    """
    What one client's error callback heard, in any thread.

    One of several servers may refuse while the others serve; only when all are down for the client is it final.

    Attributes:
        last: in librdkafka's words.
        final: the refusal, once there is no server left that doesn't.
        fatal: what ended the client: it can only be thrown away.
    """

    def __init__(self) -> None:
        self.last = ""
        self.final: KafkaError | None = None
        self.fatal: KafkaError | None = None
        self._refusal: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """The error callback."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - public, librdkafka's own
            self.final = self._refusal
            return
        self.last = error.str()
        self._refusal = error if is_refusal(error) else self._refusal

    def note_fatal(self, raised: KafkaException | SystemError) -> None:
        """
        What polling raised: a fatal error isn't told to the callback.

        A callback that runs behind it, with the exception pending, makes a `SystemError` of it.
        """
        cause = raised.__cause__ if isinstance(raised, SystemError) else raised
        if not isinstance(cause, KafkaException):
            raise raised
        self.fatal = cause.args[0]
        self.last = self.fatal.str()
        self.final = self.fatal if is_refusal(self.fatal) else self.final

    def settle(self) -> None:
        """Forget them: the client was served."""
        self.last, self.final, self._refusal = "", None, None

    def check(self, where: str) -> None:
        """
        See that there is no final refusal.

        Raises:
            BrokerRefused: there is.
        """
        if self.final is not None:
            raise ours(self.final, where)
