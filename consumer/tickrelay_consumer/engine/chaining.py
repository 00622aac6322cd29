# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Messages of one key, one after the other.

The ledger gives a key's messages to one consumer at a time, in their order; here each begins when the one before it
has come to its end. If that end is a failure, those behind are given back unbegun, the last one first, and the ledger
keeps their places.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from tickrelay_consumer.engine.runners.base import Finish
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Result, Work
from tickrelay_consumer.handlers import Handler
from tickrelay_consumer.policy import IN_ORDER
from tickrelay_messaging.ledger.records import KeyRule, Verdict

Row = tuple[Handler, str]


class Chains:
    """
    Args:
        start: has works carried out.
        finish: takes results; `self.finish` stands before it.
    """

    def __init__(self, shared: Shared, start: Callable[[Sequence[Work]], None], finish: Finish) -> None:
        self._shared = shared
        self._start = start
        self._finish = finish
        self._lock = threading.Lock()
        self._behind: dict[Row, deque[Work]] = {}

    def first(self, works: Sequence[Work]) -> list[Work]:
        """Those that may begin now; the others follow by themselves."""
        with self._lock:
            return [work for work in works if self._is_first(work)]

    def finish(self, results: Sequence[Result]) -> None:
        """Results of a runner: what is behind these begins, or is given back with them."""
        begun: list[Work] = []
        ended = list(results)
        with self._lock:
            for result in results:
                self._go_on(result, begun, ended)
        self._finish(ended)
        if begun:
            self._start(begun)

    def _is_first(self, work: Work) -> bool:
        row = _row_of(work)
        if row is None:
            return True
        if row in self._behind:
            self._behind[row].append(work)
            return False
        self._behind[row] = deque()
        return True

    def _go_on(self, result: Result, begun: list[Work], ended: list[Result]) -> None:
        row = _row_of(result.work)
        if row is None or row not in self._behind:
            return
        waiting = self._behind[row]
        if waiting and _lets_go_on(result) and not self._shared.stopping.is_set():
            begun.append(waiting.popleft())
            return
        ended += [Result(work, Verdict.RELEASE) for work in reversed(waiting)]
        del self._behind[row]


def _row_of(work: Work) -> Row | None:
    key = work.claim.message.key
    return (work.handler, key) if key is not None and work.handler.rule in IN_ORDER else None


def _lets_go_on(result: Result) -> bool:
    """A dead one is stepped over, unless the order is strict."""
    is_passed = result.verdict is Verdict.DEAD and result.work.handler.rule is KeyRule.ORDER
    return is_passed or result.verdict is Verdict.DONE
