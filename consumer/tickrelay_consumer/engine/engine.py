# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Starts the threads in the right order, and stops them in the opposite one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tickrelay_consumer.engine.fetcher import Fetcher
from tickrelay_consumer.engine.keeper import Keeper
from tickrelay_consumer.engine.settler import Settler
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.transactor import Transactor
from tickrelay_consumer.engine.work import Work
from tickrelay_consumer.engine.workers import Workers
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_messaging.failpoints import failpoint

SETTLING_SECONDS = 10.0
"""Given to the settler, after the last handler, to write down and acknowledge what was done."""


class Engine:
    """One consumer process at work, from `start` to `stop`."""

    def __init__(self, shared: Shared, handlers: Sequence[Handler]) -> None:
        self._shared = shared
        queues = list(dict.fromkeys(handler.queue for handler in handlers))
        self._settler = Settler(shared, self._claim_again)
        self._workers = Workers(shared, self._settler)
        self._transactor = Transactor(shared, self._settler)
        self._keeper = Keeper(shared, handlers, self._dispatch, self._check_deadlines)
        self._fetchers = {
            queue: Fetcher(shared, queue, [handler for handler in handlers if handler.queue == queue], self._dispatch)
            for queue in queues
        }
        self._threads: dict[str, threading.Thread] = {}

    def start(self) -> None:
        """Start everything; returns at once."""
        self._workers.start()
        self._transactor.start()
        self._spawn("settler", self._settler.run)
        self._spawn("keeper", self._keeper.run)
        for queue, fetcher in self._fetchers.items():
            self._spawn(f"fetcher-{queue}", fetcher.run)

    def stop(self) -> None:
        """
        Stop gracefully, within `limits.grace` plus some seconds.

        Running handlers may end; what hasn't begun is released, at no attempt's cost; what still runs after the grace is
        left behind, and whoever comes next takes it over.
        """
        self._shared.stopping.set()
        failpoint("consumer.draining")
        for fetcher in self._fetchers.values():
            fetcher.wake()
        deadline = time.monotonic() + self._shared.limits.grace
        stopped = threading.Event()
        self._spawn("lease", lambda: self._keep_lease_until(stopped))
        self._workers.stop(deadline)
        self._transactor.stop(deadline)
        stopped.set()
        self._join_fetchers()
        self._settler.stop()
        self._threads["settler"].join(SETTLING_SECONDS)
        for fetcher in self._fetchers.values():
            fetcher.close()

    def is_whole(self) -> bool:
        """Whether every thread that should run does."""
        return all(thread.is_alive() for thread in self._threads.values())

    def _keep_lease_until(self, stopped: threading.Event) -> None:
        while not stopped.wait(1.0):
            self._keeper.keep_lease_only()

    def _join_fetchers(self) -> None:
        for name, thread in self._threads.items():
            if name.startswith("fetcher-"):
                thread.join(2.0)

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(name, target), name=f"tickrelay-{name}", daemon=True)
        self._threads[name] = thread
        thread.start()

    def _guard(self, name: str, target: Callable[[], None]) -> None:
        """A thread of ours that dies of a bug must not leave a consumer that looks alive."""
        try:
            target()
        except BaseException as error:
            log.exception("a thread of the consumer died", thread=name)
            self._shared.give_up(f"thread {name} died: {type(error).__name__}: {error}")

    def _dispatch(self, works: Sequence[Work]) -> None:
        by_handler: dict[Handler, list[Work]] = {}
        for work in works:
            by_handler.setdefault(work.handler, []).append(work)
        for handler, chosen in by_handler.items():
            if handler.effect is Effect.TRANSACTION:
                self._transactor.put(chosen)
            else:
                self._workers.put(handler, chosen)

    def _check_deadlines(self) -> None:
        self._workers.check_deadlines()
        self._transactor.check_deadlines()

    def _claim_again(self, work: Work) -> None:
        if work.received is not None:
            self._fetchers[work.handler.queue].claim_again(work.received)
