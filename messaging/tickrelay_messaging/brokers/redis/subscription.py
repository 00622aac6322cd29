# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One consumer's seat in a group of the Redis broker.

Its membership is a line in the group's list of live consumers, with the time its lease ends; what it was handed and
didn't acknowledge is the server's to know (`XPENDING`).
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock, RLock
from typing import Any
from uuid import uuid4

from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.brokers.redis import scripts
from tickrelay_messaging.brokers.redis.entries import unpack
from tickrelay_messaging.brokers.redis.keys import Keys
from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.reader import Reader
from tickrelay_messaging.brokers.redis.wire import Argument, Wire
from tickrelay_messaging.brokers.seat import Seat
from tickrelay_messaging.errors import ConfigurationError, TickrelayError

MOST_BYTES = 32 << 20
"""About so many bytes a receive asks for, whatever its limit, judging by the sizes it has seen."""
FIRST_SIZE = 64 << 10
MOST_MESSAGES = 1000
TRIM_EVERY = 1000
"""Acknowledged messages between two trims."""


class RedisSubscription(Seat, Subscription):
    """
    Made by `RedisBroker.subscribe`.

    Args:
        pool: where it borrows connections.
        keys: of its queue.
        group: its group's name.
    """

    _BEAT, _LEAVE = scripts.BEAT, scripts.LEAVE

    def __init__(self, pool: Pool, keys: Keys, group: str) -> None:
        super().__init__(keys.queue)
        self._pool = pool
        self._keys = keys
        self._name = group
        self._member = f"{os.getpid()}-{uuid4().hex[:16]}".encode()
        self._receiving, self._beating = RLock(), Lock()
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._reader = Reader(pool, (keys.stream, keys.bell), group, self._member)
        self._held: dict[bytes, bytes] = {}  # id -> lane
        self._look, self._lost = True, False
        self._size = FIRST_SIZE
        self._to_trim = 0

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        """See `Subscription.receive`; at most 1,000 messages, and about 32 MiB."""
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, got {limit}")
        self._check_process()
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with self._receiving:
            while not self._interrupted():
                try:
                    taken = self._take(min(limit, MOST_MESSAGES), deadline)
                except BaseException:
                    self._lost = True  # maybe messages came that the caller will never see
                    raise
                if self._closed:
                    break  # `close` waits to give them back
                if taken or time.monotonic() >= deadline:
                    return taken
        return []

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.acknowledge`; a script asks of every message whether it's still this subscription's."""
        self._check_process()
        queue, group = self._queue, self._name
        ids = [
            one.token
            for one in deliveries
            if isinstance(one.token, bytes) and one.queue == queue and one.group == group
        ]
        if self._closed or not ids:
            return
        self._to_trim += len(ids)
        trim, self._to_trim = (1, 0) if self._to_trim >= TRIM_EVERY else (0, self._to_trim)
        steps = range(0, len(ids), MOST_MESSAGES)
        with self._pool.borrow() as wire:
            wire.call_all(
                [self._acknowledgement(trim, ids[start : start + MOST_MESSAGES]) for start in steps]
            )
        for position in ids:
            self._held.pop(position, None)

    def _acknowledgement(self, trim: int, ids: Sequence[bytes]) -> Sequence[Argument]:
        return ("EVAL", scripts.ACKNOWLEDGE, 1, self._keys.stream, self._name, self._member, trim, *ids)

    def wake(self) -> None:
        """See `Subscription.wake`."""
        self._woken = True
        self._poke(b"w")

    def close(self) -> None:
        """See `Subscription.close`. If the server can't be reached, siblings get its messages after the lease."""
        if self._closed or self._owner != os.getpid():
            return
        self._closed = True
        self._poke()
        with self._receiving:
            self._reader.hang_up()
            with suppress(TickrelayError), self._beating:
                self._leave()
            self._ear.close()
            self._mouth.close()

    @property
    def is_closed(self) -> bool:
        """Whether it has left its group."""
        return self._closed

    def beat(self, wire: Wire) -> None:
        """Prove to be alive, and look for the dead; called by the pulse's thread."""
        lease = int(self._pool.settings.lease * 800)  # and 200 for the time between two looks
        with self._beating:  # a beat after `close` would bring a ghost to life
            back = not self._closed and self._run(wire, self._BEAT, 3, self._name, self._member, lease)
        if back and not self._look:
            self._look = True
            self._poke()

    def _leave(self) -> None:
        with self._pool.borrow() as wire:
            while not self._run(wire, self._LEAVE, 3, self._name, self._member):
                pass

    def _run(self, wire: Wire, script: str, keys: int, *arguments: Argument) -> Any:
        of_queue = (self._keys.stream, self._keys.bell, self._keys.members(self._name))[:keys]
        return wire.call("EVAL", script, keys, *of_queue, *arguments)

    def _interrupted(self) -> bool:
        heard = b""
        with suppress(OSError):
            while more := self._ear.recv(512):
                heard += more
        # The flag is for an ear that was full; the byte for a signal between reading the flag and resetting it.
        woken, self._woken = self._woken or b"w" in heard, False
        return woken or self._closed

    def _poke(self, byte: bytes = b".") -> None:
        with suppress(OSError):  # full, so it's loud enough; or closed
            self._mouth.send(byte)

    def _take(self, limit: int, deadline: float) -> list[Delivery]:
        limit = self._affordable(limit)
        if self._lost or self._reader.lost:
            self._give_up_unheard()
        if self._look and (again := self._take_given_back(limit)):
            return again
        return self._take_new(limit, deadline)

    def _affordable(self, limit: int) -> int:
        return min(limit, max(1, MOST_BYTES // self._size))

    def _give_up_unheard(self) -> None:
        """The connection broke: what the server handed out on it, and was never heard of here, others may have."""
        command = ("XPENDING", self._keys.stream, self._name, "-", "+", 100_000, self._member)
        with self._pool.borrow() as wire:
            unheard = [row[0] for row in wire.call(*command) if row[0] not in self._held]
            head = ("XCLAIM", self._keys.stream, self._name, "~", 0)
            steps = range(0, len(unheard), MOST_MESSAGES)
            wire.call_all([(*head, *unheard[start : start + MOST_MESSAGES], "JUSTID") for start in steps])
        self._look, self._lost, self._reader.lost = True, False, False

    def _take_given_back(self, limit: int) -> list[Delivery]:
        self._look = False  # before the look, so that a bell rung meanwhile isn't missed
        with self._pool.borrow() as wire:
            count, rows = self._run(wire, scripts.TAKE, 2, self._name, self._member, limit)
        self._look |= count == limit
        return self._deliveries(rows, redelivered=True)

    def _take_new(self, limit: int, deadline: float) -> list[Delivery]:
        rows, rung = self._reader.read(limit, deadline - time.monotonic(), self._ear)
        self._look |= rung
        return self._deliveries(rows, redelivered=False)

    def _deliveries(self, rows: Sequence[Any], *, redelivered: bool) -> list[Delivery]:
        self._held.update(dict.fromkeys([position for position, _ in rows], b""))
        return self._sized([self._delivery(position, fields, redelivered) for position, fields in rows])

    def _sized(self, deliveries: list[Delivery]) -> list[Delivery]:
        """The same; learns how large messages are here."""
        if deliveries:
            self._size = max(1024, sum([len(delivery.body) for delivery in deliveries]) // len(deliveries))
        return deliveries

    def _delivery(self, position: bytes, fields: Sequence[bytes] | None, redelivered: bool) -> Delivery:
        headers, body = unpack(fields or ())
        return Delivery(self._queue, self._name, position.decode(), headers, body, redelivered, position)
