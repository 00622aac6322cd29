# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which runner a handler's works go to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tickrelay_consumer.engine.chaining import Chains
from tickrelay_consumer.engine.runners.base import Finish, Runner
from tickrelay_consumer.engine.runners.event_loop import EventLoop
from tickrelay_consumer.engine.runners.gathering import Gatherer
from tickrelay_consumer.engine.runners.origin import target_of
from tickrelay_consumer.engine.runners.processes import Processes
from tickrelay_consumer.engine.runners.threads import Threads
from tickrelay_consumer.engine.runners.transactions import Transactions
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Work
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_consumer.modes import Mode
from tickrelay_consumer.policy import IN_ORDER


class Dispatcher:
    """
    Args:
        finish: takes results of all runners.
    """

    def __init__(self, shared: Shared, handlers: Sequence[Handler], finish: Finish) -> None:
        self._shared = shared
        self._gatherer = Gatherer(shared)
        self._chains: Chains | None = None
        if any(handler.rule in IN_ORDER for handler in handlers):
            self._chains = Chains(shared, self._run, finish)
            finish = self._chains.finish
        made: dict[object, Runner] = {}
        self._runners: dict[Handler, Runner] = {}
        for handler in handlers:
            kind = handler.effect if handler.effect is Effect.TRANSACTION else handler.mode
            if kind not in made:
                made[kind] = _make(kind, shared, finish, handlers)
            self._runners[handler] = made[kind]
        self._all = list(made.values())

    def start(self) -> None:
        """Start all runners that have a handler."""
        for runner in self._all:
            runner.start()

    def put(self, works: Sequence[Work]) -> None:
        """Have works carried out."""
        self._run(works if self._chains is None else self._chains.first(works))

    def _run(self, works: Sequence[Work]) -> None:
        by_handler: dict[Handler, list[Work]] = {}
        for work in works:
            by_handler.setdefault(work.handler, []).append(work)
        for handler, chosen in by_handler.items():
            self._gatherer.put(handler, chosen, self._runners[handler].put)

    def settled(self, works: Sequence[Work]) -> None:
        """The ledger has answered for them."""
        self._gatherer.settled(works)

    def check_deadlines(self) -> None:
        """Of all runners."""
        for runner in self._all:
            runner.check_deadlines()

    def stop(self, deadline: float) -> None:
        """Of all runners, which share the time until `deadline` (monotonic seconds)."""
        self._gatherer.flush()
        stopping = [self._shared.spawn("stop", partial(runner.stop, deadline)) for runner in self._all]
        for thread in stopping:
            thread.join()


def _make(kind: object, shared: Shared, finish: Finish, handlers: Sequence[Handler]) -> Runner:
    if kind is Effect.TRANSACTION:
        return Transactions(shared, finish)
    if kind is Mode.PROCESS:
        return Processes(shared, finish, target_of([one for one in handlers if one.mode is Mode.PROCESS]))
    if kind is Mode.ASYNCIO:
        return EventLoop(shared, finish)
    return Threads(shared, finish)
