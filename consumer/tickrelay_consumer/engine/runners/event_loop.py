# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One event loop, in a thread of its own, that runs `async def` handlers.

A timeout cancels its coroutine. One that doesn't let itself be cancelled, or that blocks the loop, is given up on as a
thread that hangs would be: its result is dropped, and a blocked loop is replaced.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from tickrelay_consumer.engine.runners.base import Finish, Runner
from tickrelay_consumer.engine.runners.loop_thread import LoopThread, where
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Call, Result, cut_short, timed_out

BLOCKED_SECONDS = 1.0
"""A loop that hasn't come round for so long is reported, with the line that blocks it."""
PATIENCE = 1.0
"""From its cancellation until a coroutine that goes on is given up on."""


class EventLoop(Runner):
    """At most `limits.coroutines` calls at a time."""

    def __init__(self, shared: Shared, finish: Finish) -> None:
        self._shared = shared
        self._finish = finish
        self._lock = threading.Lock()
        self._loop = LoopThread(shared, finish)
        self._reported: object = None

    def start(self) -> None:
        """Start the loop."""
        self._loop.start()

    def put(self, calls: Sequence[Call]) -> None:
        """Hand calls over, in order."""
        with self._lock:
            self._loop.put(calls)

    def check_deadlines(self) -> None:
        """Give up on what can't be cancelled, and on a loop that a handler blocks past its timeout."""
        loop = self._loop
        loop.ping()
        silent = loop.silent()
        if silent < BLOCKED_SECONDS:
            for call, seconds in loop.overdue(PATIENCE):
                self._shared.note_stuck(1)
                self._finish([timed_out(self._shared, work, seconds) for work in call])
            return
        blocking = loop.blocking()
        if blocking is not None and self._reported is not blocking:
            self._reported = blocking
            name = blocking.call[0].handler.name
            log.warning(
                "an async handler blocks the event loop",
                handler=name,
                seconds=round(silent, 1),
                at=where(loop),
            )
        if blocking is not None and time.monotonic() - blocking.began > blocking.call[0].handler.timeout:
            self._replace(loop, blocking.call)

    def stop(self, deadline: float) -> None:
        """Let running coroutines end until `deadline` (monotonic seconds), then cancel them."""
        self._loop.stop(deadline)
        left = [call for call in self._loop.leave() if call]
        self._finish([cut_short(work, "the consumer stops", 0.0) for call in left for work in call])

    def _replace(self, loop: LoopThread, hung: Call) -> None:
        """Its neighbours can't go on either, through no fault of theirs."""
        with self._lock:
            fresh = LoopThread(self._shared, self._finish)
            if not self._shared.stopping.is_set():
                fresh.start()
            self._loop = fresh
        self._shared.note_stuck(1)
        waiting, running = loop.abandon()
        results: list[Result] = [timed_out(self._shared, work, hung[0].handler.timeout) for work in hung]
        for call in running:
            if call is not hung:
                results += [cut_short(work, "another handler blocked the event loop", 0.0) for work in call]
        self._finish(results)
        for call in waiting:
            self.put([call])
