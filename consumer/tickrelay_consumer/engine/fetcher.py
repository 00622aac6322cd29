# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Receives from one queue, decodes, claims, and hands out what is this consumer's to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from tickrelay_consumer.engine.shared import LONGEST_PAUSE, Shared, log
from tickrelay_consumer.engine.work import Received, Work
from tickrelay_consumer.handlers import Handler
from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.errors import ClaimLost, ServiceError, UndecodableMessage
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Claim, Failure, Outcome
from tickrelay_messaging.message import Message

Decoded = tuple[Received, Message]


class Fetcher:
    """
    Args:
        dispatch: takes works to be carried out.
    """

    def __init__(
        self, shared: Shared, queue: str, handlers: Sequence[Handler], dispatch: Callable[[Sequence[Work]], None]
    ) -> None:
        self._shared = shared
        self._queue = queue
        self._handlers = handlers
        self._dispatch = dispatch
        self._again: SimpleQueue[Received] = SimpleQueue()
        self._errors = 0
        self.subscription: Subscription | None = None

    def run(self) -> None:
        """Until the consumer stops."""
        while not self._shared.stopping.is_set():
            try:
                self._fetch()
                self._errors = 0
            except ServiceError as error:
                self._on_error(error)
            except ClaimLost:
                self._shared.enroll_again(self._shared.owner)

    def claim_again(self, received: Received) -> None:
        """The ledger refused the result: somebody else was to take this over, so ask who has it now."""
        self._again.put(received)
        self.wake()

    def wake(self) -> None:
        """End a wait for messages."""
        if self.subscription is not None:
            self.subscription.wake()

    def close(self) -> None:
        """Give back what wasn't acknowledged."""
        if self.subscription is not None:
            self.subscription.close()

    def _fetch(self) -> None:
        subscription = self._subscribe()
        deliveries = self._waiting_again()
        if not deliveries:
            room = self._shared.load.wait_for_room(timeout=1.0)
            if not room:
                return
            taken = subscription.receive(min(room, self._shared.limits.batch), timeout=LONGEST_PAUSE)
            failpoint("consumer.after_receive")
            deliveries = [Received(subscription, delivery) for delivery in taken]
            self._shared.progress = time.monotonic()
        if deliveries:
            self._shared.metrics.received.labels(self._queue, self._shared.group).inc(len(deliveries))
            self._take(deliveries)

    def _subscribe(self) -> Subscription:
        if self.subscription is None:
            self.subscription = self._shared.broker.subscribe(self._queue, self._shared.group)
        return self.subscription

    def _waiting_again(self) -> list[Received]:
        found: list[Received] = []
        try:
            while True:
                found.append(self._again.get_nowait())
        except Empty:
            return found

    def _take(self, deliveries: list[Received]) -> None:
        """Claim for every handler; until that has worked, the deliveries stay in this thread's hands."""
        good, broken = _decode(deliveries)
        attempt = 0
        while not self._shared.stopping.is_set():
            try:
                if broken:
                    self._bury(broken)
                    broken = []
                self._claim(good)
                return
            except ServiceError as error:
                attempt += 1
                self._on_error(error, attempt)
            except ClaimLost:
                self._shared.enroll_again(self._shared.owner)

    def _claim(self, good: Sequence[Decoded]) -> None:
        works: list[Work] = []
        for handler in self._handlers:
            works += self._claim_for(handler, good)
        failpoint("consumer.after_claim")
        taken = Counter(id(work.received) for work in works)
        _acknowledge([received for received, _ in good if received.take(taken[id(received)])])
        self._dispatch(works)

    def _claim_for(self, handler: Handler, good: Sequence[Decoded]) -> list[Work]:
        """Admitted before they are claimed, so that whoever closes the intake knows what is in hand."""
        shared = self._shared
        while not shared.load.admit(len(good), timeout=1.0):
            if shared.stopping.is_set():
                return []
        claims: list[Claim] = []
        try:
            claims = shared.ledger.claim(shared.owner, handler.route(shared.group), [message for _, message in good])
        finally:
            shared.load.remove(len(good) - sum(claim.outcome is Outcome.RUN for claim in claims))
        self._count(handler, claims)
        return [
            Work(claim, handler, received)
            for claim, (received, _) in zip(claims, good, strict=True)
            if claim.outcome is Outcome.RUN
        ]

    def _count(self, handler: Handler, claims: Sequence[Claim]) -> None:
        for outcome in {claim.outcome for claim in claims}:
            number = sum(claim.outcome is outcome for claim in claims)
            labels = (handler.queue, self._shared.group, handler.name, outcome.value)
            self._shared.metrics.claims.labels(*labels).inc(number)

    def _bury(self, broken: Sequence[tuple[Received, UndecodableMessage]]) -> None:
        """A message that can't be read is a dead letter for every handler, and never blocks what is behind it."""
        for handler in self._handlers:
            for received, error in broken:
                failure = Failure(type(error).__name__, str(error))
                self._shared.ledger.bury(handler.route(self._shared.group), [received.delivery], failure)
        self._shared.metrics.undecodable.labels(self._queue, self._shared.group).inc(len(broken))
        _acknowledge([received for received, _ in broken])

    def _on_error(self, error: ServiceError, attempt: int | None = None) -> None:
        self._errors += 1
        self._shared.metrics.service_errors.labels(type(error).__name__).inc()
        log.warning("can't fetch; trying again", queue=self._queue, error=str(error))
        if not error.retryable:
            self._shared.give_up(str(error))
        self._shared.pause(self._errors if attempt is None else attempt)


def _decode(deliveries: Sequence[Received]) -> tuple[list[Decoded], list[tuple[Received, UndecodableMessage]]]:
    good: list[Decoded] = []
    broken: list[tuple[Received, UndecodableMessage]] = []
    for received in deliveries:
        try:
            good.append((received, _message(received.delivery)))
        except UndecodableMessage as error:
            broken.append((received, error))
    return good, broken


def _message(delivery: Delivery) -> Message:
    """Reads the payload too, so that a body that isn't what it says is found before a handler has it."""
    message = envelope.decode(delivery.headers, delivery.body)
    message.data  # noqa: B018 - read for its error
    return message


def _acknowledge(finished: Sequence[Received]) -> None:
    if finished:
        finished[0].subscription.acknowledge([received.delivery for received in finished])
        failpoint("consumer.after_park")
