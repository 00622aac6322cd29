# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Keeps the consumer alive in the ledger, and starts what is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from tickrelay_consumer.engine.punctual import AHEAD
from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Work
from tickrelay_consumer.handlers import Handler
from tickrelay_consumer.policy import IN_ORDER
from tickrelay_messaging.errors import ClaimLost, ServiceError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Due, Owner

LONGEST_WAIT = 5.0
SUSPECTS_IN_A_ROW = 64
"""Messages run alone before the others get a turn again."""


class Keeper:
    """
    Args:
        dispatch: takes works to be carried out.
        look_after: called at every turn, for what else is to be done now and then.
    """

    def __init__(
        self,
        shared: Shared,
        handlers: Sequence[Handler],
        dispatch: Callable[[Sequence[Work]], None],
        look_after: Callable[[], None] = lambda: None,
    ) -> None:
        self._look_after = look_after
        self._shared = shared
        self._handlers = handlers
        self._dispatch = dispatch
        self._tick = min(1.0, shared.limits.lease / 6)
        self._renewed = self._reaped = 0.0
        self._errors = 0

    def run(self) -> None:
        """Until the consumer stops."""
        while not self._shared.stopping.is_set():
            owner = self._shared.owner
            try:
                self._keep_lease(owner)
                self._look_after()
                due = self._start_due()
                self._shared.ledger.wait_for_work(owner, self._wait(due))
                self._errors = 0
            except ServiceError as error:
                self._errors += 1
                self._shared.note_trouble("ledger", error, "can't keep up with the ledger")
                self._shared.pause(self._errors)
            except ClaimLost:
                self._shared.enroll_again(owner)

    def keep_lease_until(self, stopped: threading.Event) -> None:
        """While stopping: running handlers keep their claims, nothing new begins."""
        while not stopped.wait(self._tick):
            try:
                self._keep_lease(self._shared.owner)
            except (ServiceError, ClaimLost) as error:
                log.warning("can't renew the lease while stopping", error=str(error))

    def _wait(self, due: Due) -> float:
        if due.at is None:
            return min(self._tick, LONGEST_WAIT)
        until_due = max(0.0, due.at - self._shared.ledger.now())
        # What is nearer isn't given ahead, or would have been.
        return min(self._tick, until_due - AHEAD if until_due > AHEAD else until_due)

    def _keep_lease(self, owner: Owner) -> None:
        now, lease = time.monotonic(), self._shared.limits.lease
        if now - self._renewed > lease / 3:
            failpoint("consumer.before_renew")
            self._shared.ledger.renew(owner)
            self._renewed = now
        if now - self._reaped > min(lease / 6, LONGEST_WAIT):
            reaped = self._shared.ledger.reap()
            self._reaped = now
            if reaped:
                failpoint("consumer.after_reap")
                log.warning("took over from a dead consumer", messages=reaped)

    def _start_due(self) -> Due:
        handlers = [handler for handler in self._handlers if self._shared.gates.room_for(handler)]
        routes = [handler.route(self._shared.group) for handler in handlers]
        due = self._shared.ledger.due(routes)
        is_due = due.at is not None and due.at <= self._shared.ledger.now() + AHEAD
        if due.suspects:
            self._run_suspects()
        if is_due:
            for handler in handlers:
                self._claim_due(handler)
        return self._shared.ledger.due(routes) if is_due or due.suspects else due

    def _claim_due(self, handler: Handler) -> None:
        room = self._shared.load.wait_for_room(timeout=self._tick)
        room = min(room, self._shared.gates.room_for(handler))
        if room:
            self._take(handler, min(room, self._shared.limits.batch), suspects=False)

    def _run_suspects(self) -> None:
        """Alone means alone: the intake closes, what is in hand runs out, and then one at a time."""
        self._shared.load.close_intake()
        try:
            for _ in range(SUSPECTS_IN_A_ROW):
                if not self._wait_until_alone():
                    return
                if not any(self._take(handler, 1, suspects=True) for handler in self._handlers):
                    return
            self._wait_until_alone()
        finally:
            self._shared.load.open_intake()

    def _wait_until_alone(self) -> bool:
        """As long as the handlers need, which their timeouts bound; False when the consumer stops meanwhile."""
        while not self._shared.load.wait_until_empty(self._tick):
            self._keep_lease(self._shared.owner)
            self._look_after()
            if self._shared.stopping.is_set():
                return False
        return True

    def _take(self, handler: Handler, limit: int, *, suspects: bool) -> int:
        shared = self._shared
        if not shared.gates.room_for(handler):
            return 0
        with shared.in_order if handler.rule in IN_ORDER else nullcontext():
            route = handler.route(shared.group)
            ahead = 0.0 if suspects else AHEAD
            claims = shared.ledger.claim_due(shared.owner, route, limit, suspects=suspects, ahead=ahead)
            if claims:
                shared.load.add(len(claims))
                failpoint("consumer.after_claim_due")
                works = [Work(claim, handler) for claim in claims]
                shared.gates.book(works)
                self._dispatch(works)
        return len(claims)
