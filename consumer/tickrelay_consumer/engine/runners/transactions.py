# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The thread that runs `transaction` handlers.

It runs as many calls as fit into a short time inside one transaction, each in a savepoint of its own, so that they
share one wait for the disk. A database with a single writer gains nothing from a second thread here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from tickrelay_consumer.engine.runners.base import Finish, Runner
from tickrelay_consumer.engine.runners.calling import admit, all_works, judge
from tickrelay_consumer.engine.runners.savepoints import carry_out_in
from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Call, Result, timed_out
from tickrelay_messaging.errors import ClaimLost, ServiceError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.base import Transaction
from tickrelay_messaging.ledger.records import Verdict

LONGEST = 0.05
"""Seconds after which a transaction takes no further call: as long as that, other writers wait."""


@dataclass(slots=True)
class _Round:
    """
    One transaction, as far as the watchdog may look into it.

    Attributes:
        running: the call in the handler's hands, since when (monotonic seconds).
        calls: everything gathered for this transaction, in order.
        at: how many of them were taken up.
        left: it was aborted and its thread given up on.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    transaction: Transaction | None = None
    running: Call | None = None
    since: float = 0.0
    calls: list[Call] = field(default_factory=list)
    at: int = 0
    left: bool = False


class Transactions(Runner):
    """One thread, replaced when a handler hangs in it."""

    def __init__(self, shared: Shared, finish: Finish) -> None:
        self._shared = shared
        self._finish = finish
        self._calls: SimpleQueue[Sequence[Call] | None] = SimpleQueue()
        self._round = _Round()
        self._thread: threading.Thread | None = None
        self._rest: list[Call] = []
        self._ended = False

    def start(self) -> None:
        """Start the thread."""
        self._thread = self._shared.spawn("transactor", self._work)

    def put(self, calls: Sequence[Call]) -> None:
        """Hand calls over, in order."""
        self._calls.put(calls)

    def stop(self, deadline: float) -> None:
        """Let the running transaction end until `deadline` (monotonic seconds); what hasn't begun is released."""
        self._calls.put(None)
        while (thread := self._thread) and thread.is_alive() and time.monotonic() < deadline:
            thread.join(min(0.1, max(0.0, deadline - time.monotonic())))

    def check_deadlines(self) -> None:
        """Undo the transaction of a handler that ran past its timeout, and go on without it in a new thread."""
        now = time.monotonic()
        current = self._round
        with current.lock:
            hung = current.running
            if hung is None or current.left or now - current.since <= hung[0].handler.timeout:
                return
            current.left = True
        if current.transaction is not None:
            current.transaction.abort()
        self._leave(current, hung, now - current.since)

    def _leave(self, current: _Round, hung: Call, seconds: float) -> None:
        """The hung call failed; the others of its transaction were undone with it and run again."""
        self._shared.note_stuck(1)
        self._finish([timed_out(self._shared, work, seconds) for work in hung])
        self._round = _Round()
        self._rest = [call for call in current.calls if call is not hung]
        self.start()

    def _work(self) -> None:
        attempt = 0
        while calls := self._gather():
            current = self._round = _Round(calls=calls)
            try:
                results = self._run(current)
            except (ServiceError, ClaimLost) as error:
                attempt += 1
                if not current.left:
                    self._on_failed_commit(current, error, attempt)
            else:
                attempt = 0
                if not current.left:
                    self._finish(results)
                    self._rest = calls[current.at :]
            if current.left:
                self._shared.note_stuck(-1)
                return

    def _gather(self) -> list[Call]:
        """Wait for the first, then take what else is there without waiting; nothing at the end."""
        found, self._rest = self._rest, []
        try:
            while len(found) < self._shared.limits.batch and not self._ended:
                calls = self._calls.get_nowait() if found else self._calls.get()
                if calls is None:
                    self._ended = True
                else:
                    found += calls
        except Empty:
            pass
        return found

    def _run(self, current: _Round) -> list[Result]:
        shared = self._shared
        results: list[Result] = []
        began = time.monotonic()
        claims = [work.claim for work in all_works(current.calls)]
        with shared.ledger.transaction(shared.owner, claims) as transaction:
            current.transaction = transaction
            for call in current.calls:
                results += self._run_one(current, transaction, call)
                if current.left:
                    return []
                if time.monotonic() - began > LONGEST:
                    break
            failpoint("consumer.transaction.before_commit")
        failpoint("consumer.transaction.after_commit")
        return results

    def _run_one(self, current: _Round, transaction: Transaction, call: Call) -> list[Result]:
        with current.lock:
            current.at += 1
            current.running, current.since = call, time.monotonic()
        try:
            allowed, results = admit(self._shared, call)
            if allowed:
                results += judge(self._shared, carry_out_in(transaction, allowed))
            return results
        finally:
            with current.lock:
                current.running = None

    def _on_failed_commit(self, current: _Round, error: Exception, attempt: int) -> None:
        """Nothing of this transaction is there: run it again, at no attempt's cost."""
        works = all_works(current.calls)
        if isinstance(error, ServiceError):
            self._shared.note_trouble("ledger", error, "transaction failed", messages=len(works))
            self._shared.pause(attempt)
        if self._shared.stopping.is_set():
            self._finish([Result(work, Verdict.RELEASE) for work in works])
        else:
            self._rest = current.calls
