# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Asks the ledger for children's steps, in a thread of its own: the one that minds deadlines must wait for nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue

from tickrelay_consumer.engine.runners.frames import pack
from tickrelay_consumer.engine.runners.steps_port import LedgerSteps
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Work
from tickrelay_messaging.errors import TickrelayError

Answer = Callable[[bytes], None]


class Stepping:
    """
    Args:
        post: has the asking thread do something.
    """

    def __init__(self, shared: Shared, post: Callable[[Callable[[], None]], None]) -> None:
        self._shared = shared
        self._post = post
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_running = False

    def ask(self, work: Work, name: str, blobs: Sequence[bytes], answer: Answer) -> None:
        """Look a step up, or with a blob keep it; `answer` is given a frame."""
        if not self._is_running:
            self._is_running = True
            self._shared.spawn("steps", self._run)
        self._asked.put(lambda: self._post(partial(answer, self._frame(work, name, blobs))))

    def stop(self) -> None:
        """End the thread."""
        self._asked.put(None)

    def _run(self) -> None:
        while (task := self._asked.get()) is not None:
            task()

    def _frame(self, work: Work, name: str, blobs: Sequence[bytes]) -> bytes:
        steps = LedgerSteps(self._shared, work.claim)
        try:
            if blobs:
                steps.put(name, blobs[0])
                return pack({"is": "step"})
            found = steps.get(name)
        except TickrelayError as error:
            return pack({"is": "step", "error": [type(error).__name__, str(error)]})
        return pack({"is": "step"}, [] if found is None else [found])
