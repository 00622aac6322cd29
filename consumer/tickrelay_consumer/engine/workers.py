# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Threads that run `external` handlers.

Works are handed over in chunks: long ones for quick handlers, since a hand-over costs more than they do, and single
ones for slow handlers, so that they run side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from tickrelay_consumer.engine.settler import Settler
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Result, Work, failed, lateness, timed_out
from tickrelay_consumer.handlers import Context, Handler
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Verdict

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
    rest: list[Work] = field(default_factory=list)
    done: list[Result] = field(default_factory=list)
    running: Work | None = None
    since: float = 0.0
    left: bool = False
    thread: threading.Thread | None = None

    def next(self) -> Work | None:
        """Take up the next work."""
        with self.lock:
            if self.rest:
                self.running, self.since = self.rest.pop(), time.monotonic()
                return self.running
            return None

    def finish(self, result: Result) -> bool:
        """Keep the result; False if this thread was given up on meanwhile."""
        with self.lock:
            self.running = None
            if not self.left:
                self.done.append(result)
            return not self.left

    def drain(self) -> list[Result]:
        """What is done since the last call."""
        with self.lock:
            done, self.done = self.done, []
            return done

    def relieve(self, now: float) -> tuple[list[Work], Work | None]:
        """What lies behind a slow handler, and the work it hangs in, if it has run past its timeout."""
        with self.lock:
            work, seconds = self.running, now - self.since
            if work is None or self.left or seconds <= SLOW_SECONDS:
                return [], None
            rest, self.rest = self.rest, []
            self.left = seconds > work.handler.timeout
            return rest, work if self.left else None


class Workers:
    """A fixed number of threads; one that hangs is replaced, up to a bound at which the process ends."""

    def __init__(self, shared: Shared, settler: Settler) -> None:
        self._shared = shared
        self._settler = settler
        self._chunks: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._seats: list[_Seat] = []
        self._typical: dict[Handler, float] = {}

    def start(self) -> None:
        """Start the threads."""
        for _ in range(self._shared.limits.workers):
            self._start_one()

    def put(self, handler: Handler, works: Sequence[Work]) -> None:
        """Hand works of one handler over."""
        typical = self._typical.get(handler, CHUNK_SECONDS)
        self._deal(works[::-1], int(CHUNK_SECONDS / max(typical, 1e-7)))

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
                self._settler.put(done)

    def _leave(self, seat: _Seat, work: Work, seconds: float) -> None:
        self._settler.put([timed_out(self._shared, work, seconds)])
        self._seats.remove(seat)
        if not self._shared.stopping.is_set():
            self._start_one()

    def _deal(self, works: Sequence[Work], size: int) -> None:
        """In chunks that lie last first, so that taking the next is cheap."""
        size = max(1, min(len(works), size))
        for end in range(len(works), 0, -size):
            self._chunks.put(list(works[max(0, end - size) : end]))

    def _start_one(self) -> None:
        seat = _Seat()
        self._seats.append(seat)
        seat.thread = self._shared.spawn("worker", partial(self._work, seat))

    def _work(self, seat: _Seat) -> None:
        while not seat.left and (chunk := self._chunks.get()) is not None:
            seat.rest = chunk
            self._run_chunk(seat, chunk[-1].handler)

    def _run_chunk(self, seat: _Seat, handler: Handler) -> None:
        began = flushed = time.monotonic()
        count = 0
        while (work := seat.next()) is not None:
            if not seat.finish(self._run(work, seat.since)):
                self._shared.note_stuck(-1)
                return
            count += 1
            if (now := time.monotonic()) - flushed > CHUNK_SECONDS * 4:
                self._flush(seat)
                flushed = now
        self._flush(seat)
        self._learn(handler, (time.monotonic() - began) / max(1, count))

    def _flush(self, seat: _Seat) -> None:
        if done := seat.drain():
            self._settler.put(done)

    def _run(self, work: Work, began: float) -> Result:
        if self._shared.stopping.is_set():
            return Result(work, Verdict.RELEASE)
        failpoint("consumer.before_handler")
        return _call(work, began)

    def _learn(self, handler: Handler, mean: float) -> None:
        self._typical[handler] = 0.5 * self._typical.get(handler, mean) + 0.5 * mean


def _call(work: Work, began: float) -> Result:
    """Whatever a handler raises is its result."""
    late = lateness(work.claim.message)
    try:
        work.handler.function(work.claim.message, Context.of(work.claim))
        failpoint("consumer.after_effect")
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything, and sys.exit() ends no thread
        return failed(work, error, time.monotonic() - began)
    return Result(work, Verdict.DONE, seconds=time.monotonic() - began, late=late)
