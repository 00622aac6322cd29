# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Child processes that run `external` handlers, one call at a time each.

One thread here speaks with all of them. A child past its handler's timeout is killed, and only when it is dead its
message is given back; a child that dies by itself has named the message that it died of.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

from tickrelay_consumer.engine.runners.base import Finish, Runner
from tickrelay_consumer.engine.runners.calling import admit, all_works, judge
from tickrelay_consumer.engine.runners.children import Child, NurseryLine, end_of
from tickrelay_consumer.engine.runners.endings import died, died_of_batch, lost
from tickrelay_consumer.engine.runners.frames import READ, Frame, pack_call, read_results
from tickrelay_consumer.engine.runners.stepping import Stepping
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Call, Result, Work, cut_short, timed_out
from tickrelay_messaging.ledger.records import Verdict

STILLBORN = 3
"""Children in a row that die before they have their handlers; then the consumer gives up."""
DYING_SECONDS = 5.0
"""From the end of the grace until children that were killed are given up on."""


class Processes(Runner):
    """
    As many children as `limits.workers`, forked from a nursery.

    Args:
        target: where children find the handlers; see `origin`.
    """

    def __init__(self, shared: Shared, finish: Finish, target: str) -> None:
        self._shared = shared
        self._finish = finish
        self._target = target
        self._posted: deque[Callable[[], None]] = deque()
        self._pending: deque[Call] = deque()
        self._children: dict[int, Child] = {}
        self._coming = self._stillborn = 0
        self._deadline = inf
        self._is_ready = self._ended = False
        self._woken, self._waker = socket.socketpair()
        self._stepping = Stepping(shared, self._post)

    def start(self) -> None:
        """Start the thread, which starts the nursery: children end with the thread that began them."""
        self._thread = self._shared.spawn("processes", self._run)

    def put(self, calls: Sequence[Call]) -> None:
        """Hand calls over, in order."""
        self._post(partial(self._pending.extend, calls))

    def check_deadlines(self) -> None:
        """Nothing: the thread that waits for the children minds their deadlines."""

    def stop(self, deadline: float) -> None:
        """Let running calls end until `deadline` (monotonic seconds), then kill; what hasn't begun is released."""
        self._post(partial(setattr, self, "_deadline", deadline))
        self._thread.join(max(0.0, deadline - time.monotonic()) + 2 * DYING_SECONDS)

    # --- the thread's own --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._selector = selectors.DefaultSelector()
        for line in (self._woken, self._waker):
            line.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_woken)
        self._begin()
        try:
            while not self._is_over():
                for key, _ in self._selector.select(self._patience()):
                    if self._is_open(key):
                        key.data()
                while self._posted:
                    self._posted.popleft()()
                self._enforce()
                self._hand_out()
        finally:
            self._close()

    def _is_open(self, key: selectors.SelectorKey) -> bool:
        """False once a line was closed by what was heard before it in the same round: the nursery's word of a death."""
        now = self._selector.get_map().get(key.fd)
        return now is not None and now.fileobj is key.fileobj

    def _begin(self) -> None:
        self._is_ready, self._coming = False, 0
        self._nursery = NurseryLine(self._target)
        self._selector.register(self._nursery.line, selectors.EVENT_READ, self._on_nursery)

    def _is_over(self) -> bool:
        late = time.monotonic() > self._deadline + DYING_SECONDS
        busy = any(child.call for child in self._children.values())
        return self._deadline < inf and (late or not (busy or self._posted))

    def _patience(self) -> float:
        if self._posted:
            return 0.0
        now = time.monotonic()
        ends = [child.since + child.call[0].handler.timeout for child in self._busy() if child.call]
        return max(0.0, min([*ends, self._deadline, now + 1.0]) - now) + 0.001

    def _busy(self) -> list[Child]:
        return [child for child in self._children.values() if child.call and not child.doomed]

    def _enforce(self) -> None:
        """Kill what ran past its timeout, and when the grace is over whatever runs."""
        now = time.monotonic()
        for child in self._busy():
            assert child.call
            if now - child.since > child.call[0].handler.timeout:
                self._kill(child, "timeout")
            elif now > self._deadline:
                self._kill(child, "the consumer stops, and its grace is over")

    def _kill(self, child: Child, why: str) -> None:
        child.doomed = why
        self._nursery.kill(child.pid)

    def _hand_out(self) -> None:
        if self._shared.stopping.is_set():
            works = all_works(list(self._pending))
            self._pending.clear()
            self._hand_over([Result(work, Verdict.RELEASE) for work in works])
        for child in self._children.values():
            while self._pending and child.ready and not child.call and not child.doomed:
                allowed, results = admit(self._shared, self._pending.popleft())
                self._hand_over(results)
                if allowed:
                    child.call, child.since = allowed, time.monotonic()
                    self._send(child, pack_call(allowed))

    def _send(self, child: Child, data: bytes = b"") -> None:
        events = selectors.EVENT_READ if child.send(data) else selectors.EVENT_READ | selectors.EVENT_WRITE
        with suppress(KeyError):
            if self._selector.get_key(child.line).events != events:
                self._selector.modify(child.line, events, partial(self._on_child, child))

    def _hand_over(self, results: Sequence[Result]) -> None:
        if results:
            self._finish(results)

    # --- what comes --------------------------------------------------------------------------------------------------

    def _post(self, task: Callable[[], None]) -> None:
        """Have the thread do something; from any thread."""
        self._posted.append(task)
        with suppress(BlockingIOError, OSError):
            self._waker.send(b".")

    def _on_woken(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(READ)

    def _on_nursery(self) -> None:
        heard = self._nursery.hear()
        if heard is None:
            self._on_nursery_death()
            return
        for (said, _), fd in heard:
            getattr(self, f"_on_{said['is']}")(said, fd)

    def _on_ready(self, _said: dict[str, Any], _fd: int) -> None:
        self._is_ready = True
        self._fill()

    def _on_apart(self, _said: dict[str, Any], _fd: int) -> None:
        log.info("each child imports the handlers by itself: their module opens files or starts threads")
        self._nursery.begin()

    def _on_broken(self, said: dict[str, Any], _fd: int = -1) -> None:
        if not self._shared.gave_up:
            log.error("child processes can't import their handlers", stack=said["stack"])
            self._shared.give_up(f"child processes can't import their handlers: {said['why']}")

    def _on_forked(self, said: dict[str, Any], fd: int) -> None:
        self._coming -= 1
        child = self._children[said["pid"]] = Child(said["pid"], socket.socket(fileno=fd))
        self._selector.register(child.line, selectors.EVENT_READ, partial(self._on_child, child))

    def _on_died(self, said: dict[str, Any], _fd: int) -> None:
        child = self._children.pop(said["pid"])
        self._part_with(child, lambda work, seconds: self._ending(child, work, said["code"], seconds))
        self._stillborn = 0 if child.ready else self._stillborn + 1
        if self._stillborn >= STILLBORN:
            self._on_broken({"why": f"a child {end_of(said['code'])} before it had them", "stack": ""})
        self._fill()

    def _ending(self, child: Child, work: Work, code: int, seconds: float) -> Result:
        if child.doomed == "timeout":
            return timed_out(self._shared, work, seconds)
        if child.doomed:
            return cut_short(work, child.doomed, seconds)
        if child.call and len(child.call) > 1:
            return died_of_batch(work, end_of(code), seconds)
        return died(self._shared, work, end_of(code), seconds)

    def _part_with(self, child: Child, ending: Callable[[Work, float], Result]) -> None:
        """It is dead: what it still said counts, and what it has in hand has come to an end."""
        self._hear(child)
        with suppress(KeyError):
            self._selector.unregister(child.line)
        child.line.close()
        call, seconds = child.call, time.monotonic() - child.since
        if call:
            self._hand_over([ending(work, seconds) for work in call])
        child.call = None

    def _on_nursery_death(self) -> None:
        self._selector.unregister(self._nursery.line)
        code = self._nursery.close()
        for child in self._children.values():
            self._part_with(child, lost)
        self._children.clear()
        if not self._is_ready:
            why = f"the process they come from {end_of(code)} while it imported them"
            self._on_broken({"why": why, "stack": ""})
        log.error("the process that children come from died; starting another", end=end_of(code))
        self._shared.stopping.wait(1.0 if not self._is_ready else 0.0)
        if not self._shared.stopping.is_set():
            self._begin()

    def _fill(self) -> None:
        """Have as many children as there shall be."""
        while (
            self._is_ready
            and not self._shared.stopping.is_set()
            and len(self._children) + self._coming < self._shared.limits.workers
        ):
            self._coming += 1
            self._nursery.fork()

    def _on_child(self, child: Child) -> None:
        if not self._hear(child):
            with suppress(KeyError):
                self._selector.unregister(child.line)
            self._nursery.kill(child.pid)  # it may have closed its line without dying

    def _hear(self, child: Child) -> bool:
        """Take in what it says; False once it has ended its line."""
        try:
            for frame in child.hear():
                self._on_child_says(child, frame)
        except EOFError:
            return False
        self._send(child)
        return True

    def _on_child_says(self, child: Child, frame: Frame) -> None:
        said, blobs = frame
        if said["is"] == "ready":
            child.ready = True
        elif said["is"] == "broken":
            self._on_broken(said)
        elif child.call and said["is"] == "step":
            work = child.call[said["place"]]
            self._stepping.ask(work, said["name"], blobs, partial(self._send, child))
        elif child.call:
            call, child.call = child.call, None
            self._hand_over(judge(self._shared, read_results(said, call)))

    def _close(self) -> None:
        for child in self._children.values():
            self._part_with(child, lambda work, seconds: cut_short(work, "the consumer stops", seconds))
        self._nursery.close()
        self._stepping.stop()
        self._selector.close()
        self._woken.close()
        self._waker.close()
