# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Threads that run `external` handlers.

Works are handed over in chunks: long ones for quick handlers, since a hand-over costs more than they do, and single ones
for slow handlers, so that they run side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from tickrelay_consumer.engine.settler import Settler
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Result, Work, failed, lateness
from tickrelay_consumer.handlers import Context, Handler
from tickrelay_messaging.errors import HandlerTimeout
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Verdict

CHUNK_SECONDS = 0.005
"""About how long a chunk takes: finished works wait for at most that until they are settled."""


@dataclass(slots=True)
class _Seat:
    """
    One worker thread's place.

    Attributes:
        running: what it has in hand, and since when (monotonic seconds).
        left: it was given up on; whatever it still brings is dropped.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    running: Work | None = None
    since: float = 0.0
    rest: list[Work] = field(default_factory=list)
    left: bool = False


class Workers:
    """A fixed number of threads; one that hangs is replaced, up to a bound at which the process ends."""

    def __init__(self, shared: Shared, settler: Settler) -> None:
        self._shared = shared
        self._settler = settler
        self._chunks: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._seats: list[_Seat] = []
        self._threads: list[threading.Thread] = []
        self._typical: dict[Handler, float] = {}
        self._stuck = 0

    def start(self) -> None:
        """Start the threads."""
        for _ in range(self._shared.limits.workers):
            self._start_one()

    def put(self, handler: Handler, works: Sequence[Work]) -> None:
        """Hand works of one handler over; a chunk lies last first, so that taking the next is cheap."""
        size = self._chunk_size(handler, len(works))
        for at in range(0, len(works), size):
            self._chunks.put(list(works[at : at + size])[::-1])

    def stop(self, deadline: float) -> None:
        """Let running handlers end until `deadline` (monotonic seconds); what hasn't begun is released."""
        for _ in self._threads:
            self._chunks.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def check_deadlines(self) -> None:
        """Fail what ran past its timeout, and put a new thread in the place of the one that hangs."""
        now = time.monotonic()
        for seat in list(self._seats):
            with seat.lock:
                work = seat.running
                if work is None or seat.left or now - seat.since <= work.handler.timeout:
                    continue
                seat.left = True
            self._leave(seat, work, now - seat.since)

    def _leave(self, seat: _Seat, work: Work, seconds: float) -> None:
        route = work.claim.route
        self._shared.metrics.timeouts.labels(route.queue, route.group, route.handler).inc()
        error = HandlerTimeout(f"handler {route.handler!r} ran past its timeout of {work.handler.timeout:g} s")
        log.error("handler timed out", handler=route.handler, message=work.claim.message.id)
        self._settler.put([failed(work, error, seconds)])
        if seat.rest:
            self._chunks.put(seat.rest)
        self._seats.remove(seat)
        self._note_stuck(1)
        self._start_one()

    def _note_stuck(self, change: int) -> None:
        self._stuck += change
        self._shared.metrics.stuck.set(self._stuck)
        if self._stuck >= self._shared.limits.stuck:
            self._shared.give_up(f"{self._stuck} handlers hang past their timeout; a thread can't be ended, a process can")

    def _start_one(self) -> None:
        seat = _Seat()
        thread = threading.Thread(target=self._work, args=(seat,), name="tickrelay-worker", daemon=True)
        self._seats.append(seat)
        self._threads.append(thread)
        thread.start()

    def _chunk_size(self, handler: Handler, count: int) -> int:
        typical = self._typical.get(handler, CHUNK_SECONDS)
        return max(1, min(count, int(CHUNK_SECONDS / max(typical, 1e-7))))

    def _work(self, seat: _Seat) -> None:
        while not seat.left and (chunk := self._chunks.get()) is not None:
            self._run_chunk(seat, chunk)

    def _run_chunk(self, seat: _Seat, chunk: list[Work]) -> None:
        results: list[Result] = []
        began = flushed = time.monotonic()
        while chunk:
            work = chunk.pop()
            result = self._run(seat, work, chunk)
            if result is None:
                break
            results.append(result)
            if time.monotonic() - flushed > CHUNK_SECONDS * 4:
                self._settler.put(results)
                results, flushed = [], time.monotonic()
        self._learn(results, time.monotonic() - began)
        if results:
            self._settler.put(results)

    def _run(self, seat: _Seat, work: Work, rest: list[Work]) -> Result | None:
        """The result, or None if this thread was given up on meanwhile."""
        if self._shared.stopping.is_set():
            return Result(work, Verdict.RELEASE)
        with seat.lock:
            seat.running, seat.since, seat.rest = work, time.monotonic(), rest
        failpoint("consumer.before_handler")
        result = _call(work, seat.since)
        with seat.lock:
            seat.running = None
            if not seat.left:
                return result
        self._note_stuck(-1)
        return None

    def _learn(self, results: Sequence[Result], seconds: float) -> None:
        if results:
            handler = results[0].work.handler
            mean = seconds / len(results)
            self._typical[handler] = 0.5 * self._typical.get(handler, mean) + 0.5 * mean


def _call(work: Work, began: float) -> Result:
    """Whatever a handler raises is its result; only the end of the process goes through."""
    late = lateness(work.claim.message)
    try:
        work.handler.function(work.claim.message, Context.of(work.claim))
        failpoint("consumer.after_effect")
    except Exception as error:  # noqa: BLE001 - a handler may raise anything
        return failed(work, error, time.monotonic() - began)
    return Result(work, Verdict.DONE, seconds=time.monotonic() - began, late=late)
