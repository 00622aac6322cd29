# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Makes calls of works: one each, or a batch handler's many, which are gathered first.

What was tried before goes alone, so that a message which makes its batch fail fails by itself the next time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Call, Work
from tickrelay_consumer.handlers import Handler

PutCalls = Callable[[Sequence[Call]], None]


@dataclass(slots=True)
class _Open:
    """A batch that isn't full, and until when it waits (monotonic seconds)."""

    put: PutCalls
    until: float
    works: list[Work] = field(default_factory=list)


class Gatherer:
    """Has a thread of its own once there is a batch handler. Thread-safe."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._changed = threading.Condition()
        self._open: dict[Handler, _Open] = {}
        self._thread: threading.Thread | None = None

    def put(self, handler: Handler, works: Sequence[Work], put: PutCalls) -> None:
        """Hand works of one handler on to `put`, at once or when their batch is full or has waited enough."""
        if handler.batch is None:
            put([[work] for work in works])
            return
        ready = [[work] for work in works if _goes_alone(work)]
        with self._changed:
            batch = self._open.get(handler) or _Open(put, time.monotonic() + handler.batch_wait)
            batch.works += [work for work in works if not _goes_alone(work)]
            ready += self._take_full(handler, batch)
            self._start()
            self._changed.notify_all()
        if ready:
            put(ready)

    def flush(self) -> None:
        """Hand on whatever has gathered; for who stops."""
        self._hand_on(float("inf"))

    def _take_full(self, handler: Handler, batch: _Open) -> list[Call]:
        most = handler.batch or 1
        full = len(batch.works) // most * most
        ready = [batch.works[at : at + most] for at in range(0, full, most)]
        batch.works = batch.works[full:]
        if full:
            batch.until = time.monotonic() + handler.batch_wait
        if batch.works:
            self._open[handler] = batch
        else:
            self._open.pop(handler, None)
        return ready

    def _start(self) -> None:
        if self._thread is None and self._open:
            self._thread = self._shared.spawn("gatherer", self._run)

    def _run(self) -> None:
        while not self._shared.stopping.is_set():
            self._hand_on(time.monotonic())
            with self._changed:
                until = min((batch.until for batch in self._open.values()), default=float("inf"))
                self._changed.wait(max(0.0, min(0.5, until - time.monotonic())))

    def _hand_on(self, now: float) -> None:
        with self._changed:
            ripe = [handler for handler, batch in self._open.items() if batch.until <= now]
            ready = [self._open.pop(handler) for handler in ripe]
        for batch in ready:
            batch.put([batch.works])


def _goes_alone(work: Work) -> bool:
    claim = work.claim
    return claim.attempt > 1 or claim.ambiguous or claim.suspect
