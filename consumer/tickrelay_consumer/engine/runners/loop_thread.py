# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""An event loop in a thread, and the calls that run in it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tickrelay_consumer.engine.runners.base import Finish
from tickrelay_consumer.engine.runners.calling import Attempt, admit, contexts, judge
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Call, Result, cut_short, timed_out
from tickrelay_messaging.failpoints import failpoint


@dataclass(eq=False, slots=True)
class Running:
    """
    A call in the loop's hands.

    Attributes:
        began: when (monotonic seconds); 0 until the loop has come to it.
        left: its results were handed over already; whatever it still brings is dropped.
    """

    call: Call
    task: asyncio.Task[None] | None = None
    began: float = 0.0
    left: bool = False


class LoopThread:
    """Begins what was put in its order, so many at a time as allowed."""

    def __init__(self, shared: Shared, finish: Finish) -> None:
        self._shared = shared
        self._finish = finish
        self._make_context = contexts(shared)
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[Call] = deque()
        self._running: dict[object, Running] = {}
        self._lock = threading.Lock()
        self._came_round = time.monotonic()
        self._is_pinged = self._abandoned = False
        self._stopping = asyncio.Event()
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self.thread = self._shared.spawn("event-loop", self._run)

    def put(self, calls: Sequence[Call]) -> None:
        """Hand calls over, in order; from any thread."""
        self._waiting.extend(calls)
        self._soon(self._begin)

    def stop(self, deadline: float) -> None:
        """Let what runs end until `deadline` (monotonic seconds), then cancel it."""
        self._soon(self._begin)
        while self._running and time.monotonic() < deadline:
            time.sleep(0.01)
        self._soon(self._cancel_all)
        if self.thread:
            self.thread.join(2.0)

    def ping(self) -> None:
        """Have the loop say that it comes round."""
        if not self._is_pinged:
            self._is_pinged, self._came_round = True, time.monotonic()
            self._soon(self._answer)

    def silent(self) -> float:
        """Seconds since a question that it hasn't answered."""
        return time.monotonic() - self._came_round if self._is_pinged else 0.0

    def blocking(self) -> Running | None:
        """What runs at this instant and lets nothing else."""
        with suppress(RuntimeError):
            return self._running.get(asyncio.current_task(self._loop))
        return None

    def overdue(self, patience: float) -> list[tuple[Call, float]]:
        """Give up on what was to be cancelled so long ago and still runs."""
        now, found = time.monotonic(), []
        for one in list(self._running.values()):
            seconds = now - one.began
            if one.began and seconds > one.call[0].handler.timeout + patience and self._take(one):
                found.append((one.call, seconds))
        return found

    def abandon(self) -> tuple[list[Call], list[Call]]:
        """Give up on the loop: what it hasn't begun, and what ran. It ends once it comes round again."""
        self._abandoned = True
        waiting = [one.call for one in list(self._running.values()) if not one.began and self._take(one)]
        waiting += self._waiting
        self._waiting.clear()
        self._soon(self._cancel_all)
        return waiting, self.leave()

    def leave(self) -> list[Call]:
        """Whatever still runs; its results are dropped from now on."""
        return [one.call for one in list(self._running.values()) if self._take(one)]

    # --- the thread's own --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._stopping.wait())
        if self._abandoned:
            self._shared.note_stuck(-1)

    def _soon(self, function: object) -> None:
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(function)  # type: ignore[arg-type]  # a method without arguments

    def _answer(self) -> None:
        self._is_pinged = False

    def _cancel_all(self) -> None:
        self._stopping.set()  # the runner cancels whatever is left, and waits for it

    def _begin(self) -> None:
        released: list[Result] = []
        most = self._shared.limits.coroutines
        while self._waiting and (len(self._running) < most or self._shared.stopping.is_set()):
            allowed, results = admit(self._shared, self._waiting.popleft())
            released += results
            if allowed:
                one = Running(allowed)
                one.task = self._loop.create_task(self._carry_out(one))
                self._running[one.task] = one
        if released:
            self._finish(released)

    async def _carry_out(self, one: Running) -> None:
        try:
            results = [] if one.left else await self._call(one)
        finally:
            self._running.pop(one.task, None)
            self._begin()
        if self._take(one):
            self._finish(results)
        else:
            self._note_end()

    async def _call(self, one: Running) -> list[Result]:
        handler = one.call[0].handler
        one.began = time.monotonic()
        failpoint("consumer.before_handler")
        attempt = Attempt(one.call, self._make_context)
        try:
            async with asyncio.timeout(handler.timeout) as timeout:
                await handler.function(*attempt.arguments())
                failpoint("consumer.after_effect")
        except asyncio.CancelledError as error:
            if self._stopping.is_set():
                return [cut_short(work, "the consumer stops", 0.0) for work in one.call]
            return judge(self._shared, attempt.raised(error))
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            if isinstance(error, TimeoutError) and timeout.expired():
                return [timed_out(self._shared, work, time.monotonic() - one.began) for work in one.call]
            return judge(self._shared, attempt.raised(error))
        return judge(self._shared, attempt.returned())

    def _take(self, one: Running) -> bool:
        """Whether its results are still to be handed over: once."""
        with self._lock:
            taken, one.left = not one.left, True
            return taken

    def _note_end(self) -> None:
        if not self._abandoned and not self._shared.stopping.is_set():
            self._shared.note_stuck(-1)


def where(loop: LoopThread) -> str:
    """The line that the loop's thread is at."""
    frame = sys._current_frames().get(loop.thread.ident or 0) if loop.thread else None  # noqa: SLF001 - documented
    stack = traceback.extract_stack(frame, limit=None) if frame else []
    return f"{stack[-1].filename}:{stack[-1].lineno}" if stack else "?"
