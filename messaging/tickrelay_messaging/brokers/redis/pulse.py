# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The thread that proves a process's subscriptions to be alive, five times a lease."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Event, Lock, Thread
from weakref import WeakSet

from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.subscription import RedisSubscription
from tickrelay_messaging.errors import TickrelayError

BEATS = 5
"""In a lease."""


class Pulse:
    """
    One for all subscriptions of a broker; its thread lives as long as one of them does.

    Args:
        pool: where it borrows a connection.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._process = os.getpid()
        self._subscriptions: WeakSet[RedisSubscription] = WeakSet()
        self._changing = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it was made in this process; a thread doesn't live through a fork."""
        return self._process == os.getpid()

    def add(self, subscription: RedisSubscription) -> None:
        """
        Join, and keep joined.

        Raises:
            TickrelayError: the first beat wasn't heard.
        """
        with self._pool.borrow() as wire:
            subscription.beat(wire)
        with self._changing:
            self._subscriptions.add(subscription)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="tickrelay-redis-pulse", daemon=True)
                self._thread.start()

    def stop(self) -> list[RedisSubscription]:
        """End the thread; answers the subscriptions that are left without it."""
        self._stop.set()
        thread = self._thread
        if thread is not None and self.is_ours:
            thread.join(self._pool.settings.timeout)
        return list(self._subscriptions)

    def _run(self) -> None:
        while not self._stop.wait(self._pool.settings.lease / BEATS):
            with self._changing:
                alive = [one for one in self._subscriptions if not one.is_closed]
                if not alive:
                    self._thread = None
                    return
            for subscription in alive:
                # Each by itself: one queue that was deleted mustn't cost the others their lives.
                with suppress(TickrelayError), self._pool.borrow() as wire:
                    subscription.beat(wire)
            del alive, subscription  # only its users keep a subscription alive
