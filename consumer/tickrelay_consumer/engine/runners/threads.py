# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Threads that run `external` handlers.

Calls are handed over in chunks: long ones for quick handlers, since a hand-over costs more than they do, and single
ones for slow handlers, so that they run side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from tickrelay_consumer.engine.runners.base import Finish, Runner
from tickrelay_consumer.engine.runners.calling import admit, carry_out, contexts, judge
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Call, Result, timed_out
from tickrelay_consumer.handlers import Handler

CHUNK_SECONDS = 0.005
"""About how long a chunk takes: finished works wait for at most that until they are settled."""
SLOW_SECONDS = 0.05
"""A handler that takes longer than that keeps nobody waiting: what lies behind it goes to other threads."""


@dataclass(slots=True)
class _Seat:
    """
    One worker thread's place: what it has in hand, so that the watchdog can take it away from a thread that hangs.

    Attributes:
        rest: what it will run, last first.
        done: what isn't settled yet.
        running: what the handler has, and since when (monotonic seconds).
        left: it was given up on; whatever it still brings is dropped.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    rest: list[Call] = field(default_factory=list)
    done: list[Result] = field(default_factory=list)
    running: Call | None = None
    since: float = 0.0
    left: bool = False
    thread: threading.Thread | None = None

    def next(self, results: Sequence[Result] = ()) -> Call | None:
        """Keep what the last call brought, take up the next; None after the last, or if this thread was given up on."""
        now = time.monotonic()
        with self.lock:
            if self.left:
                return None
            self.done += results
            self.since = now
            self.running = self.rest.pop() if self.rest else None
            return self.running

    def drain(self) -> list[Result]:
        """What is done since the last time."""
        with self.lock:
            done, self.done = self.done, []
            return done

    def relieve(self, now: float) -> tuple[list[Call], Call | None]:
        """What lies behind a slow handler, and the call it hangs in, if it has run past its timeout."""
        with self.lock:
            call, seconds = self.running, now - self.since
            if call is None or self.left or seconds <= SLOW_SECONDS:
                return [], None
            rest, self.rest = self.rest, []
            self.left = seconds > call[0].handler.timeout
            return rest, call if self.left else None


class Threads(Runner):
    """A fixed number of threads; one that hangs is replaced, up to a bound at which the process ends."""

    def __init__(self, shared: Shared, finish: Finish) -> None:
        self._shared = shared
        self._finish = finish
        self._make_context = contexts(shared)
        self._is_gated = bool(shared.gates)
        self._chunks: SimpleQueue[list[Call] | None] = SimpleQueue()
        self._seats: list[_Seat] = []
        self._typical: dict[Handler, float] = {}

    def start(self) -> None:
        """Start the threads."""
        for _ in range(self._shared.limits.workers):
            self._start_one()

    def put(self, calls: Sequence[Call]) -> None:
        """Hand calls of one handler over."""
        typical = self._typical.get(calls[0][0].handler, CHUNK_SECONDS)
        self._deal(calls[::-1], int(CHUNK_SECONDS / max(typical, 1e-7)))

    def stop(self, deadline: float) -> None:
        """Let running handlers end until `deadline` (monotonic seconds); what hasn't begun is released."""
        seats = list(self._seats)
        for _ in seats:
            self._chunks.put(None)
        for seat in seats:
            while seat.thread and seat.thread.is_alive() and not seat.left and time.monotonic() < deadline:
                seat.thread.join(min(0.1, max(0.0, deadline - time.monotonic())))

    def check_deadlines(self) -> None:
        """Fail what ran past its timeout, and put a new thread in the place of the one that hangs."""
        now = time.monotonic()
        for seat in list(self._seats):
            rest, hung = seat.relieve(now)
            if rest:
                self._deal(rest, len(rest) // self._shared.limits.workers)
            if hung is not None:
                self._leave(seat, hung, now - seat.since)
            if now - seat.since > SLOW_SECONDS and (done := seat.drain()):
                self._finish(done)

    def _leave(self, seat: _Seat, call: Call, seconds: float) -> None:
        self._shared.note_stuck(1)
        self._finish([timed_out(self._shared, work, seconds) for work in call])
        self._seats.remove(seat)
        if not self._shared.stopping.is_set():
            self._start_one()

    def _deal(self, calls: Sequence[Call], size: int) -> None:
        """In chunks that lie last first, so that taking the next is cheap."""
        size = max(1, min(len(calls), size))
        for end in range(len(calls), 0, -size):
            self._chunks.put(list(calls[max(0, end - size) : end]))

    def _start_one(self) -> None:
        seat = _Seat()
        self._seats.append(seat)
        seat.thread = self._shared.spawn("worker", partial(self._work, seat))

    def _work(self, seat: _Seat) -> None:
        while not seat.left and (chunk := self._chunks.get()) is not None:
            seat.rest = chunk
            self._run_chunk(seat, chunk[-1][0].handler)

    def _run_chunk(self, seat: _Seat, handler: Handler) -> None:
        count, call = 0, seat.next()
        began = flushed = seat.since
        while call is not None:
            call = seat.next(self._run(call))
            count += 1
            if seat.since - flushed > CHUNK_SECONDS * 4:
                self._flush(seat)
                flushed = seat.since
        if seat.left:
            self._shared.note_stuck(-1)
            return
        self._flush(seat)
        self._learn(handler, (seat.since - began) / count)

    def _flush(self, seat: _Seat) -> None:
        if done := seat.drain():
            self._finish(done)

    def _run(self, call: Call) -> list[Result]:
        if not (self._is_gated or self._shared.stopping.is_set()):
            return carry_out(call, self._make_context)
        allowed, results = admit(self._shared, call)
        if allowed:
            results += judge(self._shared, carry_out(allowed, self._make_context))
        return results

    def _learn(self, handler: Handler, mean: float) -> None:
        self._typical[handler] = 0.5 * self._typical.get(handler, mean) + 0.5 * mean
