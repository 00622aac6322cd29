# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Messages whose handlers take long: the ledger stores their payloads, and the broker may forget them.

Else a broker that waits for an acknowledgement (RabbitMQ half an hour by default) would take the consumer for dead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from tickrelay_consumer.engine.acknowledging import Acknowledger
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Work, take_back


class Holder:
    """Knows since when works from the broker have been in hand."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._since: dict[Work, float] = {}
        self._acknowledger = Acknowledger(shared)
        self._patience = shared.limits.lease / 3
        self._looked = time.monotonic()

    def add(self, works: Sequence[Work]) -> None:
        """They are in hand from now on; all of them came from the broker."""
        fresh = dict.fromkeys(works, time.monotonic())
        with self._lock:
            self._since.update(fresh)

    def remove(self, works: Sequence[Work]) -> None:
        """They aren't any more."""
        forget = self._since.pop
        with self._lock:
            for work in works:
                forget(work, None)

    def hold_old(self) -> None:
        """Store what has been in hand for a third of the lease, and acknowledge it."""
        now = time.monotonic()
        if now - self._looked < self._patience / 2:
            return
        self._looked = now
        with self._lock:
            old = [work for work, since in self._since.items() if now - since > self._patience]
        for at in range(0, len(old), self._shared.limits.batch):
            self._hold(old[at : at + self._shared.limits.batch])
        if self._acknowledger:
            self._acknowledger.flush()

    def _hold(self, works: Sequence[Work]) -> None:
        held = self._shared.ledger.hold(self._shared.owner, [work.claim for work in works])
        kept = [work for work, is_held in zip(works, held, strict=True) if is_held]
        self._acknowledger.add(take_back(kept))
        self.remove(works)
