# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How a consumer is told to stop: from another thread, or by a signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType


class Stop:
    """An event that may be set in a signal handler: `threading.Event` would wait there for the lock it interrupted."""

    def __init__(self) -> None:
        self.is_set = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self.is_set = True
        self._bell.put(None)

    def wait(self, timeout: float) -> bool:
        with suppress(Empty):
            if not self.is_set:
                self._bell.get(timeout=timeout)
        return self.is_set


class Signals:
    """While inside, SIGTERM and SIGINT set an event; the second one ends the process at once."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *exc: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set:
            os._exit(128 + number)
        self._stop.set()
