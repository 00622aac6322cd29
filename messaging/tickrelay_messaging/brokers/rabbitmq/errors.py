# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From what pika or RabbitMQ says to an error of ours; no password is in any of them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from pika import exceptions

from tickrelay_messaging.errors import (
    BrokerRefused,
    BrokerUnavailable,
    MessageTooLarge,
    QueueMismatch,
    TickrelayError,
    UnknownQueue,
)

ACCESS_REFUSED = 403
NOT_FOUND = 404
PRECONDITION_FAILED = 406
NOT_ALLOWED = 530


_REFUSALS: dict[type[BaseException], str] = {
    exceptions.ProbableAuthenticationError: "user or password refused",
    exceptions.AuthenticationError: "it offers no way to authenticate that this URL allows",
    exceptions.ProbableAccessDeniedError: "the user may not use this virtual host",
    exceptions.IncompatibleProtocolError: "it broke off before AMQP 0-9-1 began; should it be amqps://?",
    ssl.SSLCertVerificationError: "its certificate can't be verified",
    ssl.SSLError: "TLS failed",
}
_FINAL = (exceptions.AuthenticationError, ssl.SSLCertVerificationError)
_SAID_SO = "ConnectionClosedByBroker"
"""pika's "probable" errors quote this where the broker refused in words; otherwise they guess from a lost stream."""
_FULL = "limit"
_CONNECTION_CODES = {
    ACCESS_REFUSED: "user or password refused",
    NOT_ALLOWED: "the virtual host doesn't exist, or the user may not use it",
}


def connection_error(error: BaseException | None, where: str) -> BrokerUnavailable:
    """Why there is no connection."""
    for cause in _causes(error):
        if (words := _refusal(cause)) is not None:
            final = isinstance(cause, _FINAL) or (_SAID_SO in repr(cause) and _FULL not in str(cause))
            return (BrokerRefused if final else BrokerUnavailable)(f"{where}: {words} ({cause})")
    deepest = list(_causes(error))[-1:]
    return BrokerUnavailable(f"{where}: {_words(deepest[0]) if deepest else 'the connection was closed'}")


def _refusal(cause: BaseException) -> str | None:
    if isinstance(cause, exceptions.ConnectionClosedByBroker):
        return _CONNECTION_CODES.get(cause.reply_code)
    return next((words for kind, words in _REFUSALS.items() if isinstance(cause, kind)), None)


def channel_error(error: BaseException, where: str) -> TickrelayError:
    """Why a channel was closed, or an order refused."""
    if not isinstance(error, exceptions.ChannelClosedByBroker):
        return connection_error(error, where)
    text = f"{where}: {error.reply_text}"
    if error.reply_code == NOT_FOUND:
        return UnknownQueue(f"{text}; declare it first")
    if error.reply_code == PRECONDITION_FAILED:
        return QueueMismatch(f"{text}; delete it, or declare it as it is")
    if error.reply_code == ACCESS_REFUSED:
        return BrokerRefused(f"{text}; grant the right with rabbitmqctl set_permissions")
    return BrokerUnavailable(text)


def publish_error(error: BaseException, where: str) -> TickrelayError:
    """Why the channel for publishing was closed."""
    if isinstance(error, exceptions.ChannelClosedByBroker) and error.reply_code == PRECONDITION_FAILED:
        return MessageTooLarge(f"{where}: {error.reply_text}")
    return channel_error(error, where)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it wraps, outermost first; pika wraps in three ways of its own."""
    while error is not None:
        yield error
        inner = [*error.args, getattr(error, "exception", None), *(getattr(error, "exceptions", None) or ())]
        error = next((one for one in reversed(inner) if isinstance(one, BaseException)), None)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
