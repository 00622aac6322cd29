# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What every verb on a queue needs: its keys, one script's answer, and the error for a queue nobody declared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tickrelay_messaging.brokers.redis.keys import Keys
from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.wire import Argument
from tickrelay_messaging.errors import ConfigurationError, UnknownQueue


class Desk:
    """
    Args:
        pool: where connections are borrowed.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.settings = pool.settings

    def keys(self, queue: str) -> Keys:
        """The keys of a queue."""
        return Keys(self.settings.prefix, queue)

    def ask(self, queue: str, script: str, keys: Sequence[bytes], *arguments: Argument) -> Any:
        """
        A script's answer.

        Raises:
            UnknownQueue: the script found no queue.
        """
        try:
            with self.pool.borrow() as wire:
                return wire.call("EVAL", script, len(keys), *keys, *arguments)
        except UnknownQueue as error:
            raise self.unknown(queue) from error

    def unknown(self, queue: str, group: str | None = None) -> UnknownQueue:
        """The error for what was never declared."""
        what = f"queue {queue!r}" if group is None else f"queue {queue!r} with a group {group!r}"
        return UnknownQueue(f"{what} was never declared at {self.settings.where}; declare it first")


def position_of(after: str) -> str:
    """
    A position as the server reads it, an entry's id.

    Raises:
        ConfigurationError: it's none.
    """
    first, dash, second = after.partition("-")
    if not (dash and (first + second).isascii() and first.isdigit() and second.isdigit()):
        raise ConfigurationError(f"after={after!r} is no position of this broker")
    return after
