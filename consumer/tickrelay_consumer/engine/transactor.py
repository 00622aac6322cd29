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
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Result, Work, failed, lateness, timed_out
from tickrelay_consumer.handlers import Context
from tickrelay_messaging.errors import ClaimLost, ServiceError
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
        self._works: SimpleQueue[Sequence[Work] | None] = SimpleQueue()
        self._round = _Round()
        self._thread: threading.Thread | None = None
        self._rest: list[Work] = []
        self._ended = False

    def start(self) -> None:
        """Start the thread."""
        self._thread = self._shared.spawn("transactor", self._work)

    def put(self, works: Sequence[Work]) -> None:
        """Hand works over, in order."""
        self._works.put(works)

    def stop(self, deadline: float) -> None:
        """Let the running transaction end until `deadline` (monotonic seconds); what hasn't begun is released."""
        self._works.put(None)
        while (thread := self._thread) and thread.is_alive() and time.monotonic() < deadline:
            thread.join(min(0.1, max(0.0, deadline - time.monotonic())))

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
        self._settler.put([timed_out(self._shared, hung, seconds)])
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
                attempt += 1
                if not current.left:
                    self._on_failed_commit(current, error, attempt)
            else:
                attempt = 0
                if not current.left:
                    self._settler.put(results)
                    self._rest = works[current.at :]
            if current.left:
                self._shared.note_stuck(-1)
                return

    def _gather(self) -> list[Work]:
        """Wait for the first, then take what else is there without waiting; nothing at the end."""
        found, self._rest = self._rest, []
        try:
            while len(found) < self._shared.limits.batch and not self._ended:
                works = self._works.get_nowait() if found else self._works.get()
                if works is None:
                    self._ended = True
                else:
                    found += works
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
            return (
                Result(work, Verdict.RELEASE) if self._shared.stopping.is_set() else _call(transaction, work)
            )
        finally:
            with current.lock:
                current.running = None

    def _on_failed_commit(self, current: _Round, error: Exception, attempt: int) -> None:
        """Nothing of this transaction is there: run it again, at no attempt's cost."""
        if isinstance(error, ServiceError):
            self._shared.note_trouble("ledger", error, "transaction failed", messages=len(current.works))
            self._shared.pause(attempt)
        if self._shared.stopping.is_set():
            self._settler.put([Result(work, Verdict.RELEASE) for work in current.works])
        else:
            self._rest = current.works


def _call(transaction: Transaction, work: Work) -> Result:
    """
    Whatever a handler raises is its result.

    Raises:
        ServiceError, ...: the ledger's own trouble, which undoes the whole transaction.
    """
    began = time.monotonic()
    late = lateness(work.claim.message)
    raised: BaseException | None = None
    try:
        with transaction.message([work.claim]):
            try:
                failpoint("consumer.before_handler")
                work.handler.function(work.claim.message, Context.of(work.claim, transaction.connection))
                failpoint("consumer.after_effect")
            except BaseException as error:
                raised = error
                raise
    except BaseException as error:
        if error is raised:
            return failed(work, error, time.monotonic() - began)
        if isinstance(error, ClaimLost):
            # Settling it tells the ledger's answer once more: refused, so it is claimed again.
            return Result(work, Verdict.RELEASE)
        raise
    return Result(work, Verdict.DONE, settled=True, seconds=time.monotonic() - began, late=late)
