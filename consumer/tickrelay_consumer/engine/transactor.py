# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The thread that runs `transaction` handlers.

It runs as many as fit into a short time inside one transaction, each in a savepoint of its own, so that they share one
wait for the disk. A database with a single writer gains nothing from a second thread here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from tickrelay_consumer.engine.settler import Settler
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Result, Work, failed, lateness
from tickrelay_consumer.handlers import Context
from tickrelay_messaging.errors import ClaimLost, HandlerTimeout, ServiceError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.base import Transaction
from tickrelay_messaging.ledger.records import Verdict

LONGEST = 0.05
"""Seconds after which a transaction takes no further message: as long as that, other writers wait."""


@dataclass(slots=True)
class _Round:
    """
    One transaction, as far as the keeper may look into it.

    Attributes:
        running: the work in the handler's hands, since when (monotonic seconds).
        works: everything gathered for this transaction, in order.
        at: how many of them were taken up.
        left: it was aborted and its thread given up on.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    transaction: Transaction | None = None
    running: Work | None = None
    since: float = 0.0
    works: list[Work] = field(default_factory=list)
    at: int = 0
    left: bool = False


class Transactor:
    """One thread, replaced when a handler hangs in it."""

    def __init__(self, shared: Shared, settler: Settler) -> None:
        self._shared = shared
        self._settler = settler
        self._works: SimpleQueue[Work | None] = SimpleQueue()
        self._round = _Round()
        self._thread: threading.Thread | None = None
        self._rest: list[Work] = []
        self._ended = False
        self._stuck = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="tickrelay-transactor", daemon=True)
        self._thread.start()

    def put(self, works: Sequence[Work]) -> None:
        """Hand works over, in order."""
        for work in works:
            self._works.put(work)

    def stop(self, deadline: float) -> None:
        """Let the running transaction end until `deadline` (monotonic seconds); what hasn't begun is released."""
        self._works.put(None)
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def check_deadlines(self) -> None:
        """Undo the transaction of a handler that ran past its timeout, and go on without it in a new thread."""
        now = time.monotonic()
        current = self._round
        with current.lock:
            hung = current.running
            if hung is None or current.left or now - current.since <= hung.handler.timeout:
                return
            current.left = True
        if current.transaction is not None:
            current.transaction.abort()
        self._leave(current, hung, now - current.since)

    def _leave(self, current: _Round, hung: Work, seconds: float) -> None:
        """The hung message failed; the others of its transaction were undone with it and run again."""
        route = hung.claim.route
        self._shared.metrics.timeouts.labels(route.queue, route.group, route.handler).inc()
        log.error("handler timed out", handler=route.handler, message=hung.claim.message.id)
        error = HandlerTimeout(f"handler {route.handler!r} ran past its timeout of {hung.handler.timeout:g} s")
        self._settler.put([failed(hung, error, seconds)])
        self._stuck += 1
        if self._stuck >= self._shared.limits.stuck:
            self._shared.give_up(f"{self._stuck} handlers hang past their timeout; a thread can't be ended, a process can")
        self._round = _Round()
        self._rest = [work for work in current.works if work is not hung]
        self.start()

    def _work(self) -> None:
        attempt = 0
        while works := self._gather():
            current = self._round = _Round(works=works)
            try:
                results = self._run(current)
            except (ServiceError, ClaimLost) as error:
                if current.left:
                    return
                attempt += 1
                self._on_failed_commit(current, error, attempt)
            else:
                if current.left:
                    return
                attempt = 0
                self._settler.put(results)
                self._rest = works[current.at :]

    def _gather(self) -> list[Work]:
        """Wait for the first, then take what else is there without waiting; nothing at the end."""
        found, self._rest = self._rest, []
        try:
            while len(found) < self._shared.limits.batch and not self._ended:
                work = self._works.get_nowait() if found else self._works.get()
                if work is None:
                    self._ended = True
                else:
                    found.append(work)
        except Empty:
            pass
        return found

    def _run(self, current: _Round) -> list[Result]:
        shared = self._shared
        results: list[Result] = []
        began = time.monotonic()
        with shared.ledger.transaction(shared.owner, [work.claim for work in current.works]) as transaction:
            current.transaction = transaction
            for work in current.works:
                results.append(self._run_one(current, transaction, work))
                if current.left:
                    return []
                if time.monotonic() - began > LONGEST:
                    break
            failpoint("consumer.transaction.before_commit")
        failpoint("consumer.transaction.after_commit")
        return results

    def _run_one(self, current: _Round, transaction: Transaction, work: Work) -> Result:
        with current.lock:
            current.at += 1
            current.running, current.since = work, time.monotonic()
        try:
            return Result(work, Verdict.RELEASE) if self._shared.stopping.is_set() else _call(transaction, work)
        finally:
            with current.lock:
                current.running = None

    def _on_failed_commit(self, current: _Round, error: Exception, attempt: int) -> None:
        """Nothing of this transaction is there: run it again, at no attempt's cost."""
        log.warning("transaction failed; running it again", messages=len(current.works), error=str(error))
        self._shared.metrics.service_errors.labels("ledger").inc()
        if isinstance(error, ClaimLost):
            self._shared.enroll_again(self._shared.owner)
        if self._shared.stopping.is_set() or isinstance(error, ClaimLost):
            self._settler.put([Result(work, Verdict.RELEASE) for work in current.works])
            return
        self._shared.pause(attempt)
        self._rest = current.works


def _call(transaction: Transaction, work: Work) -> Result:
    began = time.monotonic()
    late = lateness(work.claim.message)
    try:
        with transaction.message([work.claim]):
            failpoint("consumer.before_handler")
            work.handler.function(work.claim.message, Context.of(work.claim, transaction.connection))
            failpoint("consumer.after_effect")
    except ClaimLost:
        # Settling it tells the ledger's answer once more: refused, so it is claimed again.
        return Result(work, Verdict.RELEASE)
    except ServiceError:
        raise
    except Exception as error:  # noqa: BLE001 - a handler may raise anything
        return failed(work, error, time.monotonic() - began)
    return Result(work, Verdict.DONE, settled=True, seconds=time.monotonic() - began, late=late)
