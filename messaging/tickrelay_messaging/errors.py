# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The one tree of errors: by who is at fault, and whether trying again helps.

======================  =======================  ==============
branch                  at fault                 try again?
======================  =======================  ==============
`CallerError`           the code or config       no
`MessageError`          the message              no
`ServiceError`          broker, ledger or disk   `retryable`
`ClaimError`            nobody: work moved on    no
`HandlerSignal`         a handler's own wish     as it says
======================  =======================  ==============

Every message says what happened, where, and what to do. No driver's exception leaves a broker or ledger module:
`translate` turns it into one of these at the seam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class TickrelayError(Exception):
    """Root of everything Tickrelay raises on purpose."""

    retryable: bool = False


# --- the caller's fault ------------------------------------------------------------------------------------------


class CallerError(TickrelayError):
    """The call can't be carried out as written; the same call fails again."""


class ConfigurationError(CallerError, ValueError):
    """A setting, URL, schedule or argument is outside what is allowed."""


class InvalidMessage(CallerError, ValueError):
    """A message that must not be published: refused before anything was sent."""


class MessageTooLarge(InvalidMessage):
    """A body or header over the limit: refused before anything was sent."""


class UnknownQueue(CallerError, LookupError):
    """The queue was never declared on this broker."""


class QueueMismatch(CallerError):
    """The queue exists, declared otherwise."""


class LedgerMismatch(CallerError):
    """Publisher and consumer use different ledgers, so neither would ever hear of the other."""


# --- the message's fault -----------------------------------------------------------------------------------------


class MessageError(TickrelayError):
    """A received message that no retry can mend; it becomes a dead letter with its bytes kept."""


class UndecodableMessage(MessageError, ValueError):
    """Headers or body don't follow the format they claim."""


class DigestMismatch(MessageError):
    """A known id came back with another payload."""


# --- the service's fault -----------------------------------------------------------------------------------------


class ServiceError(TickrelayError):
    """A broker, ledger or disk did not do its part."""

    retryable = True


class BrokerUnavailable(ServiceError, ConnectionError):
    """The broker can't be reached, or the connection to it broke."""


class BrokerRefused(BrokerUnavailable):
    """The broker is there and says no: password, rights or certificate. Trying again is no use."""

    retryable = False


class LedgerUnavailable(ServiceError, ConnectionError):
    """The ledger can't be reached; consumption pauses and nothing is acknowledged."""


class LedgerLost(ServiceError):
    """The server has lost the ledger (flushed, or another one): consumption stops, as nothing can bring it back."""

    retryable = False


class StorageFull(ServiceError):
    """No space left where the queue or ledger lives; nothing of the failed batch was stored."""


class StorageCorrupt(ServiceError):
    """The file is damaged or is no Tickrelay file; trying again can't help."""

    retryable = False


class PublishUnconfirmed(ServiceError):
    """
    Some messages were not confirmed in time: they may or may not be on the queue.

    Publishing exactly these again is safe, since their ids stay the same.

    Attributes:
        ids: ids of the messages without a confirmation, in publishing order.
    """

    def __init__(self, text: str, ids: Sequence[str]) -> None:
        super().__init__(text)
        self.ids = tuple(ids)


# --- nobody's fault ----------------------------------------------------------------------------------------------


class ClaimError(TickrelayError):
    """A claim can't be used the way the caller wants."""


class ClaimLost(ClaimError):
    """Another consumer took the message over; this one's result is refused by its fence."""


# --- a handler's wish --------------------------------------------------------------------------------------------


class HandlerSignal(TickrelayError):
    """Raised by a handler to say what shall become of the message."""


class RetryLater(HandlerSignal):
    """
    Try again after `delay` seconds; counts as an attempt.

    Attributes:
        delay: seconds from now.
    """

    retryable = True

    def __init__(self, delay: float, reason: str = "the handler asked to try later") -> None:
        super().__init__(reason)
        self.delay = delay


class DeadLetter(HandlerSignal):
    """No retry can help: make it a dead letter now."""


class HandlerTimeout(TickrelayError, TimeoutError):
    """A handler ran past its timeout."""

    retryable = True


@contextmanager
def translate(mapping: Mapping[type[Exception], type[TickrelayError]], where: str) -> Iterator[None]:
    """
    Raise our error instead of the driver's.

    Args:
        mapping: driver's exception class -> ours; the first that matches wins.
        where: what was being done, put in front of the driver's own words.
    """
    try:
        yield
    except tuple(mapping) as error:
        ours = next(ours for theirs, ours in mapping.items() if isinstance(error, theirs))
        raise ours(f"{where}: {error}") from error
