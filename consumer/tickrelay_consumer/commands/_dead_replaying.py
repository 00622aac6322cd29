# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Changes many dead letters page by page, so that Ctrl-C stops between two pages and a rate can be kept.

Which letters are meant is settled at the start: what dies again meanwhile isn't taken twice. A page is one call of the
ledger and counts what it really changed, so two people who click at once change each letter once between them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tickrelay_consumer.rate import Rate
from tickrelay_messaging.ledger.base import DeadLetters
from tickrelay_messaging.ledger.records import DeadFilter

PAGE = 500
_NAP = 0.05
_PER_PAGE_SECONDS = 0.1
"""About how far apart pages lie when a rate is kept."""


@dataclass(slots=True)
class Progress:
    """How far it came; `stopped` by Ctrl-C."""

    meant: int
    changed: int = 0
    stopped: bool = False


def numbers(letters: DeadLetters, where: DeadFilter) -> list[int]:
    """The dead letters that are meant now, oldest first."""
    found: list[int] = []
    while page := letters.list(where, after=found[-1] if found else 0, limit=10_000):
        found += [one.number for one in page]
    return found


def in_pages(meant: Sequence[int], change: Callable[[DeadFilter], int], rate: Rate | None = None) -> Progress:
    """
    Change them, oldest first.

    Args:
        change: changes those of a filter and says how many.
        rate: no more than so many in a period.
    """
    progress, size = Progress(len(meant)), _page_size(rate)
    with _stoppable() as is_stopped:
        for at in range(0, len(meant), size):
            page = meant[at : at + size]
            if at and rate is not None:
                _sleep(len(page) * rate.per / rate.count, is_stopped)
            if is_stopped():
                progress.stopped = True
                return progress
            progress.changed += change(DeadFilter(numbers=tuple(page)))
    return progress


def _page_size(rate: Rate | None) -> int:
    if rate is None:
        return PAGE
    return max(1, min(PAGE, rate.count, int(rate.count / rate.per * _PER_PAGE_SECONDS)))


def _sleep(seconds: float, is_stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not is_stopped():
        time.sleep(min(_NAP, left))


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C is only noted; the second one strikes as ever."""
    hits: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if hits:
            raise KeyboardInterrupt
        hits.append(number)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread, which alone hears signals
        yield lambda: False
        return
    try:
        yield lambda: bool(hits)
    finally:
        signal.signal(signal.SIGINT, before)
