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
from sqlite3 import Connection
from threading import RLock

from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.brokers.seat import Seat
from tickrelay_messaging.brokers.sqlite import laned, rows, views
from tickrelay_messaging.brokers.sqlite.headers import read_all
from tickrelay_messaging.brokers.sqlite.store import Store
from tickrelay_messaging.doorbell import Doorbell, is_alive, ring
from tickrelay_messaging.errors import ConfigurationError, ServiceError, UnknownQueue

LOOK_AGAIN = 0.5
"""Shortest time in seconds between two looks for dead siblings."""
WAIT_BESIDE_OTHERS = 1.0
"""Longest sleep in seconds while a sibling, who may die, holds messages."""
WAIT_ALONE = 15.0
"""Longest sleep in seconds otherwise: only for a publisher killed between its commit and its ring."""


class SqliteSubscription(Seat, Subscription):
    """
    Made by `SqliteBroker.subscribe`.

    Args:
        store: where its group lives.
        folder: where the bells of its queue hang.
        names: of queue and group.

    Raises:
        UnknownQueue: no such group; also of `receive`, once the group was forgotten.
    """

    def __init__(self, store: Store, folder: Path, names: tuple[str, str]) -> None:
        super().__init__(names[0])
        self._store = store
        self._folder = folder
        self._name = names[1]
        self._receiving = RLock()
        self._looked = float("-inf")
        self._join()

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        """See `Subscription.receive`; stops short of `limit` at 32 MiB of bodies."""
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, got {limit}")
        self._check_process()
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
        if not positions or self._closed:
            return
        self._check_process()
        member = self._member
        with self._store.write() as db:
            lanes = rows.settle(db, member.group, member.owner, positions)
            frees = bool(member.lanes) and laned.frees(db, member, lanes)
        if frees:
            ring(self._folder)

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
                    given_back = rows.leave(db, self._member.group, self._member.owner)
            except ServiceError:
                given_back = 1
            self._bell.close()
        if given_back or self._member.lanes:
            ring(self._folder)

    def _join(self) -> None:
        # The bell hangs before anybody can read of it: one that isn't there yet would be taken for dead.
        self._folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._bell = Doorbell(self._folder)
        try:
            with self._store.write() as db:
                self._member = self._new_member(db)
            self._look_for_dead()
        except BaseException:
            self._bell.close()
            raise

    def _new_member(self, db: Connection) -> laned.Member:
        found = views.find_group(db, self._queue, self._name)
        if found is None:
            raise UnknownQueue(
                f"queue {self._queue!r} has no group {self._name!r} in {self._store.path}, or no more; declare it"
            )
        return laned.Member(found[0], rows.join(db, found[0], self._bell.name), found[1])

    def _take(self, limit: int) -> list[Delivery]:
        if time.monotonic() - self._looked >= LOOK_AGAIN:
            self._look_for_dead()
        taken: laned.Taken = []
        while not taken and self._is_anything_there():
            with self._store.write() as db:
                if is_member := rows.is_member(db, self._member.owner):
                    taken = self._take_in(db, limit)
            if not is_member:
                self._join_again()
        return self._deliveries(taken)

    def _is_anything_there(self) -> bool:
        with self._store.read() as db:
            if self._member.lanes:
                return laned.anything_for(db, self._member)
            return rows.anything_for(db, self._member.group)

    def _take_in(self, db: Connection, limit: int) -> laned.Taken:
        member = self._member
        if member.lanes:
            return laned.take(db, member, limit)
        again = rows.take_given_back(db, member.group, member.owner, limit)
        room = limit - len(again)
        new = rows.take_new(db, member.group, member.owner, room) if room else []
        return [(row, True) for row in again] + [(row, False) for row in new]

    def _join_again(self) -> None:
        """Somebody took this one for dead, because its bell was taken away; it has lost what it held."""
        self._bell.close()
        self._join()
        self._bell.ring()

    def _look_for_dead(self) -> None:
        """Give back what subscriptions of dead processes hold."""
        self._looked = time.monotonic()
        group = self._member.group
        with self._store.read() as db:
            dead = rows.dead_members(db, group, lambda bell: is_alive(self._folder, bell))
        if dead:
            with self._store.write() as db:
                for member in dead:
                    rows.leave(db, group, member)

    def _longest_sleep(self, left: float | None) -> float:
        most = WAIT_BESIDE_OTHERS if self._is_beside_others() else WAIT_ALONE
        return most if left is None else min(left, most)

    def _is_beside_others(self) -> bool:
        member = self._member
        with self._store.read() as db:
            if not member.lanes:
                return rows.held_by_others(db, member.group, member.owner)
            wants = laned.anything_waiting(db, member.group)
            beside = wants or laned.held_by_others(db, member)
        if wants and not member.hungry:
            with self._store.write() as db:
                laned.mark_hungry(db, member)
        return beside

    def _deliveries(self, taken: laned.Taken) -> list[Delivery]:
        texts = read_all([headers for (_, headers, _), _ in taken])
        return [
            Delivery(
                self._queue,
                self._name,
                str(rows.number_of(position)),
                headers,
                body,
                redelivered=again,
                token=position,
            )
            for ((position, _, body), again), headers in zip(taken, texts, strict=True)
        ]
