# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Starts the threads in the right order, and stops them in the opposite one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tickrelay_consumer.engine.deaf import DeafWatch
from tickrelay_consumer.engine.dispatching import Dispatcher
from tickrelay_consumer.engine.fetcher import Fetcher
from tickrelay_consumer.engine.holding import Holder
from tickrelay_consumer.engine.keeper import Keeper
from tickrelay_consumer.engine.punctual import Starter
from tickrelay_consumer.engine.relay import Relay
from tickrelay_consumer.engine.settler import Settler
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.sweeper import Sweeper
from tickrelay_consumer.engine.work import Work, take_received
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_messaging.failpoints import failpoint

SETTLING_SECONDS = 10.0
"""Given to the settler, after the last handler, to write down and acknowledge what was done."""


class Engine:
    """One consumer process at work, from `start` to `stop`."""

    def __init__(self, shared: Shared, handlers: Sequence[Handler]) -> None:
        self._shared = shared
        queues = list(dict.fromkeys(handler.queue for handler in handlers))
        self._holder = Holder(shared)
        self._settler = Settler(shared, self._claim_again, self._holder, self._settled)
        self._dispatcher = Dispatcher(shared, handlers, self._settler.put)
        self._relay = Relay(shared)
        self._has_outbox = any(handler.effect is Effect.TRANSACTION for handler in handlers)
        self._starter = Starter(self._dispatcher.put, shared.ledger.now)
        self._keeper = Keeper(shared, handlers, self._starter.put, self._look_after)
        self._fetchers = {queue: self._fetcher(queue, handlers) for queue in queues}
        self._tick = max(0.02, min(0.5, *(handler.timeout / 4 for handler in handlers)))
        self._threads: dict[str, threading.Thread] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start everything; returns at once."""
        self._dispatcher.start()
        self._spawn("settler", self._settler.run)
        self._spawn("starter", self._starter.run)
        self._spawn("keeper", self._keeper.run)
        self._spawn("watchdog", self._watch)
        self._spawn("deaf-watch", DeafWatch(self._shared, self._fetchers.values()).run)
        self._spawn("sweeper", Sweeper(self._shared).run)
        if self._has_outbox:
            self._spawn("relay", self._relay.run)
        for queue, fetcher in self._fetchers.items():
            self._spawn(f"fetcher-{queue}", fetcher.run)

    def stop(self) -> None:
        """
        Stop gracefully, within `limits.grace` plus some seconds.

        Running handlers may end; what hasn't begun is released, at no attempt's cost; what still runs after the
        grace is left behind, and whoever comes next takes it over.
        """
        self._shared.stopping.set()
        failpoint("consumer.draining")
        self._starter.stop()
        for fetcher in self._fetchers.values():
            fetcher.wake()
        deadline = time.monotonic() + self._shared.limits.grace
        self._spawn("lease", lambda: self._keeper.keep_lease_until(self._stopped))
        self._dispatcher.stop(deadline)
        self._join_fetchers()
        self._settler.stop()
        self._threads["settler"].join(SETTLING_SECONDS)
        if self._has_outbox:
            self._relay.empty()
        self._stopped.set()
        for fetcher in self._fetchers.values():
            fetcher.close()

    def is_whole(self) -> bool:
        """Whether every thread that should run does."""
        return all(thread.is_alive() for thread in self._threads.values())

    def _watch(self) -> None:
        """
        End what hangs.

        In a thread that never asks broker or ledger: a handler that hangs in a transaction makes everybody else
        wait there.
        """
        while not self._stopped.wait(self._tick):
            self._dispatcher.check_deadlines()

    def _join_fetchers(self) -> None:
        for name, thread in self._threads.items():
            if name.startswith("fetcher-"):
                thread.join(2.0)

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        self._threads[name] = self._shared.spawn(name, target)

    def _fetcher(self, queue: str, handlers: Sequence[Handler]) -> Fetcher:
        own = [handler for handler in handlers if handler.queue == queue]
        return Fetcher(self._shared, queue, own, self._put)

    def _put(self, works: Sequence[Work]) -> None:
        self._holder.add(works)
        self._dispatcher.put(works)

    def _settled(self, works: Sequence[Work]) -> None:
        self._dispatcher.settled(works)

    def _look_after(self) -> None:
        """What is due now and then, in the keeper's thread."""
        self._relay.wake()
        self._holder.hold_old()

    def _claim_again(self, work: Work) -> None:
        if (received := take_received(work)) is not None:
            self._fetchers[work.handler.queue].claim_again(received)
