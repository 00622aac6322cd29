# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From what pika or RabbitMQ says to an error of ours; no password is in any of them."""

from __future__ import annotations

import re
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
NO_CHANNEL = (
    "this connection has no channel left, and every subscription needs one for each lane: "
    "use fewer in a process, or raise the broker's channel_max"
)
_LATE = ("timed out", "delivery tag")
"""In RabbitMQ's words when it closes a channel because of acknowledgements, not of a declaration."""

_LOGIN = "user or password refused; correct them, or try rabbitmqctl authenticate_user"
_REFUSALS: dict[type[BaseException], str] = {
    exceptions.ProbableAuthenticationError: _LOGIN,
    exceptions.AuthenticationError: "it offers no way to authenticate that this URL allows; see auth=",
    exceptions.ProbableAccessDeniedError: "the user may not use this virtual host; see rabbitmqctl set_permissions",
    exceptions.IncompatibleProtocolError: "it broke off before AMQP 0-9-1 began; should it be amqps://?",
    ssl.SSLCertVerificationError: "its certificate can't be verified; see cafile= and server_name=",
    ssl.SSLError: "TLS failed; does it want a certificate of ours, another certfile=?",
}
_FINAL = (exceptions.AuthenticationError, ssl.SSLCertVerificationError)
_SAID_SO = "ConnectionClosedByBroker"
"""pika's "probable" errors quote this where the broker refused in words; otherwise they guess from a lost stream."""
_FULL = "limit"
_OUR_CERTIFICATE = re.compile(r"ALERT_(BAD_|UNSUPPORTED_)?(CERTIFICATE|UNKNOWN_CA)\w*")
"""A TLS alert, which pika may hand over as text in the error of a lost stream."""
_CONNECTION_CODES = {
    ACCESS_REFUSED: _LOGIN,
    NOT_ALLOWED: "the virtual host doesn't exist, or the user may not use it; see rabbitmqctl set_permissions",
}


def connection_error(error: BaseException | None, where: str) -> BrokerUnavailable:
    """Why there is no connection."""
    if alert := _OUR_CERTIFICATE.search(repr(error)):
        return BrokerRefused(f"{where}: it refuses our certificate; see certfile= and keyfile= ({alert[0]})")
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
    if error.reply_code == PRECONDITION_FAILED and not any(words in text for words in _LATE):
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
