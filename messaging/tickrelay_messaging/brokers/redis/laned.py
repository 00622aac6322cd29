# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One consumer's seat in a group of a queue with lanes; `lane_scripts` says how these are shared."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Sequence
from typing import Any

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.brokers.redis import lane_scripts, scripts
from tickrelay_messaging.brokers.redis.keys import Keys
from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.reader import LONGEST_WAIT, Reader
from tickrelay_messaging.brokers.redis.subscription import RedisSubscription
from tickrelay_messaging.brokers.redis.wire import Argument


class LanedSubscription(RedisSubscription):
    """
    Made by `RedisBroker.subscribe`.

    Args:
        pool: where it borrows connections.
        keys: of its queue.
        group: its group's name.
        lanes: of the queue.
    """

    _BEAT, _LEAVE = scripts.BEAT_LANES, scripts.LEAVE_LANES

    def __init__(self, pool: Pool, keys: Keys, group: str, lanes: int) -> None:
        super().__init__(pool, keys, group)
        self._reader = _LaneReader(pool, (keys.stream, keys.bell), group, self._member)
        self._reader.lanes = lanes

    def _acknowledgement(self, trim: int, ids: Sequence[bytes]) -> Sequence[Argument]:
        known = [(self._held[position], position) for position in ids if position in self._held]
        flat = [argument for pair in known for argument in pair]
        keys = (self._keys.stream, self._keys.bell)
        return ("EVAL", lane_scripts.ACKNOWLEDGE, 2, *keys, self._name, self._member, trim, *flat)

    def _take(self, limit: int, deadline: float) -> list[Delivery]:
        limit = self._affordable(limit)
        if self._lost or self._reader.lost:
            self._give_up_unheard()
        self._look = False  # so that the pulse pokes when something was set aside meanwhile
        rows, _ = self._reader.read(limit, deadline - time.monotonic(), self._ear)
        self._held.update({position: lane for position, _, lane, _ in rows})
        return self._sized([self._delivery(one, two, times > 0) for one, two, _, times in rows])

    def _give_up_unheard(self) -> None:
        with self._pool.borrow() as wire:
            while not self._run(wire, lane_scripts.UNHEARD, 2, self._name, self._member, *list(self._held)):
                pass
        self._lost = self._reader.lost = False


class _LaneReader(Reader):
    """Messages of whatever lanes the member may have; `lanes` is how many the queue has."""

    lanes = 1

    def read(self, limit: int, wait: float, ear: socket.socket) -> tuple[Sequence[Any], bool]:
        """Messages with lane and how often they were handed out before; after a wait none, whatever ended it."""
        wait = min(max(wait, 0.0), LONGEST_WAIT)
        # A consumer that works on what it was given counts as asking for another lease.
        asking = math.ceil((wait + self._pool.settings.lease) * 1000)
        head = ("EVAL", lane_scripts.TAKE, 2, *self._streams, self._group, self._member)
        rows, again, *ends = self._ask((*head, limit, self.lanes, asking), 0, ear)
        if not again and wait:
            block = ("XREAD", "COUNT", 1, "BLOCK", math.ceil(wait * 1000), "STREAMS", *self._streams, *ends)
            self._ask(block, wait, ear)
        return rows, False
