# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Makes calls of works: one each, or a batch handler's many, which are gathered first.

What was tried before goes alone, so that a message which makes its batch fail fails by itself the next time. Of an
`external` batch handler no more is handed on than its workers can have in hand, until the ledger knows the results:
whoever is killed has at most one batch a worker repeated.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from tickrelay_consumer.engine.shared import Limits, Shared
from tickrelay_consumer.engine.work import Call, Work
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_consumer.modes import Mode

PutCalls = Callable[[Sequence[Call]], None]


@dataclass(slots=True)
class _Line:
    """
    One batch handler's.

    Attributes:
        size: of a full batch.
        most: works that may be out at a time.
        works: the batch that isn't full, and until when it waits (monotonic seconds).
        ready: calls that wait for room.
        out: ids (of objects) of works that were handed on and aren't settled.
    """

    put: PutCalls
    size: int
    most: float
    works: list[Work] = field(default_factory=list)
    until: float = inf
    ready: deque[Call] = field(default_factory=deque)
    out: set[int] = field(default_factory=set)

    def add(self, works: Sequence[Work], until: float) -> None:
        """Works have come; a batch that begins with them waits until then."""
        self.ready += [[work] for work in works if _goes_alone(work)]
        if not self.works:
            self.until = until
        self.works += [work for work in works if not _goes_alone(work)]
        while len(self.works) >= self.size:
            self.ready.append(self.works[: self.size])
            self.works = self.works[self.size :]
            self.until = until

    def waits_until(self) -> float:
        """When the batch that isn't full goes on by itself; never while there is no room."""
        return self.until if self.works and not self.ready and self._has_room(self.works) else inf

    def take(self, now: float) -> list[Call]:
        """What may be handed on now."""
        if self.waits_until() <= now:
            self.ready.append(self.works)
            self.works = []
        taken = []
        while self.ready and self._has_room(self.ready[0]):
            taken.append(self.ready.popleft())
            self.out.update(map(id, taken[-1]))
        return taken

    def take_all(self) -> list[Call]:
        """Whatever there is."""
        taken = [*self.ready, *([self.works] if self.works else [])]
        self.ready.clear()
        self.works = []
        return taken

    def _has_room(self, call: Call) -> bool:
        return len(self.out) + len(call) <= self.most


class Gatherer:
    """Has a thread of its own once there is a batch handler. Thread-safe."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._changed = threading.Condition()
        self._lines: dict[Handler, _Line] = {}

    def put(self, handler: Handler, works: Sequence[Work], put: PutCalls) -> None:
        """Hand works of one handler on to `put`, at once or when their batch is full or has waited enough."""
        if handler.batch is None:
            put([[work] for work in works])
            return
        with self._changed:
            line = self._lines.get(handler) or self._begin(handler, put)
            now = time.monotonic()
            line.add(works, now + handler.batch_wait)
            ready = line.take(now)
            self._changed.notify_all()
        if ready:
            put(ready)

    def settled(self, works: Sequence[Work]) -> None:
        """The ledger knows how they ended, or refuses to: there is room for others."""
        if not self._lines:
            return
        with self._changed:
            now, gone = time.monotonic(), set(map(id, works))
            for line in self._lines.values():
                line.out -= gone
            ready = [(line.put, line.take(now)) for line in self._lines.values()]
            self._changed.notify_all()
        _hand_on(ready)

    def flush(self) -> None:
        """Hand on whatever has gathered; for who stops."""
        with self._changed:
            ready = [(line.put, line.take_all()) for line in self._lines.values()]
        _hand_on(ready)

    def _begin(self, handler: Handler, put: PutCalls) -> _Line:
        if not self._lines:
            self._shared.spawn("gatherer", self._run)
        size = handler.batch or 1
        line = self._lines[handler] = _Line(put, size, size * _most_calls(handler, self._shared.limits))
        return line

    def _run(self) -> None:
        while not self._shared.stopping.is_set():
            with self._changed:
                now = time.monotonic()
                ready = [(line.put, line.take(now)) for line in self._lines.values()]
            _hand_on(ready)
            with self._changed:
                until = min(line.waits_until() for line in self._lines.values())
                self._changed.wait(max(0.0, min(0.5, until - time.monotonic())))


def _hand_on(ready: Sequence[tuple[PutCalls, list[Call]]]) -> None:
    for put, calls in ready:
        if calls:
            put(calls)


def _most_calls(handler: Handler, limits: Limits) -> float:
    """Where effect and mark are one, nothing is repeated, however much is out."""
    if handler.effect is not Effect.EXTERNAL:
        return inf
    return limits.coroutines if handler.mode is Mode.ASYNCIO else limits.workers


def _goes_alone(work: Work) -> bool:
    claim = work.claim
    return claim.attempt > 1 or claim.ambiguous or claim.suspect
