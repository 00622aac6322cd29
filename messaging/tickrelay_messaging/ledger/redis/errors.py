# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis ledger's errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tickrelay_messaging.errors import (
    BrokerRefused,
    BrokerUnavailable,
    CallerError,
    ConfigurationError,
    LedgerLost,
    LedgerUnavailable,
    QueueMismatch,
    UnknownQueue,
)


class NoScript(CallerError):
    """The server has forgotten the script; it was restarted."""


class NoOwner(CallerError):
    """The owner was taken for dead."""


@contextmanager
def translated() -> Iterator[None]:
    """
    What the broker's connections raise, as a ledger's.

    Raises:
        LedgerUnavailable: trying again may help.
        LedgerLost: the epoch is gone or another one.
        ConfigurationError: it refuses this user, or holds something else.
        StorageFull: it has no room.
    """
    try:
        yield
    except BrokerRefused as error:
        raise ConfigurationError(str(error)) from error
    except BrokerUnavailable as error:
        text = str(error)
        if "NOSCRIPT" in text or "No matching script" in text:
            raise NoScript(text) from error
        if "NOEPOCH" in text:
            raise LedgerLost(text) from error
        if "NOOWNER" in text:
            raise NoOwner(text) from error
        raise LedgerUnavailable(text) from error
    except (QueueMismatch, UnknownQueue) as error:
        raise ConfigurationError(str(error)) from error
