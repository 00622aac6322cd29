# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What every subscription minds, whatever its broker: whose process it is, and whether somebody wants it back."""

from __future__ import annotations

import os

from tickrelay_messaging.errors import CallerError


class Seat:
    """
    A mixin for subscriptions: sets and reads `_woken` and `_closed`.

    Args:
        queue: the queue it's a seat at, for the error's text.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._owner = os.getpid()
        self._woken = self._closed = False

    def _interrupted(self) -> bool:
        """Whether a `receive` shall return now; a wake counts once."""
        if self._woken:
            # Reset only when set: a signal handler's wake between reading and resetting would be lost.
            self._woken = False
            return True
        return self._closed

    def _check_process(self) -> None:
        """
        Refuse a forked child.

        Raises:
            CallerError: this is another process than the one that subscribed.
        """
        if self._owner != os.getpid():
            raise CallerError(
                f"this subscription to {self._queue!r} is the parent process's; subscribe anew after a fork"
            )
