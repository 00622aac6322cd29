# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One consumer's seat in a group of the SQLite broker.

Whoever holds messages is known by its doorbell, which only rings as long as its process lives. So a killed
consumer's messages come back at once, a stopped one keeps its own, and no clock is asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import RLock

from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.brokers.sqlite import rows
from tickrelay_messaging.brokers.sqlite.headers import read_all
from tickrelay_messaging.brokers.sqlite.store import Store
from tickrelay_messaging.doorbell import Doorbell, is_alive, ring
from tickrelay_messaging.errors import CallerError, ConfigurationError, ServiceError

LOOK_AGAIN = 0.5
"""Shortest time in seconds between two looks for dead siblings."""
WAIT_BESIDE_OTHERS = 1.0
"""Longest sleep in seconds while a sibling, who may die, holds messages."""
WAIT_ALONE = 15.0
"""Longest sleep in seconds otherwise: only for a publisher killed between its commit and its ring."""


class SqliteSubscription(Subscription):
    """
    Made by `SqliteBroker.subscribe`.

    Args:
        store: where its group lives.
        folder: where the bells of its queue hang.
        names: of queue and group.
        group: the group's id.
    """

    def __init__(self, store: Store, folder: Path, names: tuple[str, str], group: int) -> None:
        self._store = store
        self._folder = folder
        self._queue, self._name = names
        self._group = group
        self._owner = os.getpid()
        self._receiving = RLock()
        self._woken = self._closed = False
        self._looked = float("-inf")
        self._join()

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        """See `Subscription.receive`; stops short of `limit` at 32 MiB of bodies."""
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, got {limit}")
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._receiving:
            while not self._interrupted():
                if taken := self._take(limit):
                    return taken
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._bell.wait(self._longest_sleep(left))
        return []

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.acknowledge`; one transaction."""
        positions = [delivery.token for delivery in deliveries if isinstance(delivery.token, int)]
        if positions and not self._closed:
            self._check_process()
            with self._store.write() as db:
                rows.settle(db, self._group, self._member, positions)

    def wake(self) -> None:
        """See `Subscription.wake`."""
        self._woken = True
        self._bell.ring()

    def close(self) -> None:
        """See `Subscription.close`. Where the file can't be written, siblings see the bell taken down."""
        if self._closed or self._owner != os.getpid():
            return
        self._closed = True
        self._bell.ring()
        with self._receiving:
            try:
                with self._store.write() as db:
                    given_back = rows.leave(db, self._group, self._member)
            except ServiceError:
                given_back = 1
            self._bell.close()
        if given_back:
            ring(self._folder)

    def _join(self) -> None:
        # The bell hangs before anybody can read of it: one that isn't there yet would be taken for dead.
        self._folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._bell = Doorbell(self._folder)
        try:
            with self._store.write() as db:
                self._member = rows.join(db, self._group, self._bell.name)
            self._look_for_dead()
        except BaseException:
            self._bell.close()
            raise

    def _interrupted(self) -> bool:
        self._check_process()
        if self._woken:
            # Reset only when set: a signal handler's wake between reading and resetting would be lost.
            self._woken = False
            return True
        return self._closed

    def _check_process(self) -> None:
        if self._owner != os.getpid():
            raise CallerError(
                f"this subscription to {self._queue!r} is the parent process's; subscribe anew after a fork"
            )

    def _take(self, limit: int) -> list[Delivery]:
        if time.monotonic() - self._looked >= LOOK_AGAIN:
            self._look_for_dead()
        with self._store.read() as db:
            if not rows.anything_for(db, self._group):
                return []
        with self._store.write() as db:
            member = rows.is_member(db, self._member)
            again = rows.take_given_back(db, self._group, self._member, limit) if member else []
            room = limit - len(again) if member else 0
            new = rows.take_new(db, self._group, self._member, room) if room else []
        if not member:
            self._join_again()
        return self._deliveries(again, redelivered=True) + self._deliveries(new, redelivered=False)

    def _join_again(self) -> None:
        """Somebody took this one for dead, because its bell was taken away; it has lost what it held."""
        self._bell.close()
        self._join()
        self._bell.ring()

    def _look_for_dead(self) -> None:
        """Give back what subscriptions of dead processes hold."""
        self._looked = time.monotonic()
        with self._store.read() as db:
            dead = rows.dead_members(db, self._group, lambda bell: is_alive(self._folder, bell))
        if dead:
            with self._store.write() as db:
                for member in dead:
                    rows.leave(db, self._group, member)

    def _longest_sleep(self, left: float | None) -> float:
        with self._store.read() as db:
            beside_others = rows.held_by_others(db, self._group, self._member)
        most = WAIT_BESIDE_OTHERS if beside_others else WAIT_ALONE
        return most if left is None else min(left, most)

    def _deliveries(self, taken: list[rows.Row], *, redelivered: bool) -> list[Delivery]:
        return [
            Delivery(
                self._queue,
                self._name,
                str(rows.number_of(position)),
                headers,
                body,
                redelivered=redelivered,
                token=position,
            )
            for (position, _, body), headers in zip(taken, read_all([row[1] for row in taken]), strict=True)
        ]
