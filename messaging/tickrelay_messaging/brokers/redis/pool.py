# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A process's connections to one Redis server, lent one user at a time."""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from tickrelay_messaging.brokers.redis.url import Settings
from tickrelay_messaging.brokers.redis.wire import Wire
from tickrelay_messaging.errors import BrokerUnavailable, CallerError, TickrelayError

MOST_IDLE = 8
LIFETIME = 1800.0
"""Seconds after which a connection is replaced, so that a change of address or rights gets through."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Bounds in seconds of the pause before a server that could not be reached is tried again."""


class Pool:
    """
    Safe from any thread, and after a fork: it has no lock that a fork could leave taken.

    Args:
        settings: where its connections lead.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process = os.getpid()
        self._idle: deque[Wire] = deque()
        self._failures = 0
        self._not_before = 0.0
        self._closed = False

    @contextmanager
    def borrow(self, within: float | None = None) -> Iterator[Wire]:
        """
        A connection for the block; afterwards it's kept if it's still good.

        Args:
            within: longest time in seconds for connecting, the settings' timeout by default.

        Raises:
            BrokerUnavailable: nobody answers.
            ConfigurationError: see `Wire`.
        """
        wire = self._take() or self.connect(within)
        try:
            yield wire
        finally:
            self._give_back(wire)

    def connect(self, within: float | None = None) -> Wire:
        """A new connection, the caller's own. After a failure, the next attempt pauses first, longer each time."""
        if self._closed:
            raise CallerError("this broker is closed; open another")
        deadline = time.monotonic() + (self.settings.timeout if within is None else within)
        self._pause(deadline)
        try:
            wire = Wire(self.settings, deadline - time.monotonic())
        except TickrelayError:
            self._failures += 1
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10))
            self._not_before = time.monotonic() + longest * random.uniform(0.5, 1.0)  # noqa: S311
            raise
        self._failures, self._not_before = 0, 0.0
        return wire

    def close(self) -> None:
        """Hang up whatever nobody uses; what is lent is hung up when it comes back."""
        self._closed = True
        self._hang_up()

    def _pause(self, deadline: float) -> None:
        pause = self._not_before - time.monotonic()
        if pause > deadline - time.monotonic():
            raise BrokerUnavailable(
                f"{self.settings.where}: could not be reached just now, and is left in peace"
            )
        if pause > 0:
            time.sleep(pause)

    def _take(self) -> Wire | None:
        if self._closed:
            raise CallerError("this broker is closed; open another")
        if self._process != os.getpid():  # they are the parent's
            self._process = os.getpid()
            self._hang_up()
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if wire.is_usable() and time.monotonic() - wire.born < LIFETIME:
                return wire
            wire.close()
        return None

    def _give_back(self, wire: Wire) -> None:
        if self._closed or len(self._idle) >= MOST_IDLE or not wire.is_usable():
            wire.close()
        else:
            self._idle.append(wire)

    def _hang_up(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
