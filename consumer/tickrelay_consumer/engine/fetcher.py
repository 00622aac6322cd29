# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Receives from one queue, decodes, claims, and hands out what is this consumer's to do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from tickrelay_consumer.breaker import PLENTY
from tickrelay_consumer.engine.acknowledging import Acknowledger
from tickrelay_consumer.engine.shared import LONGEST_PAUSE, Shared
from tickrelay_consumer.engine.work import Received, Work, hand_out
from tickrelay_consumer.handlers import Handler
from tickrelay_consumer.policy import IN_ORDER
from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import Broker, Delivery, Subscription
from tickrelay_messaging.errors import ClaimLost, MessageError, ServiceError, TickrelayError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Claim, Failure, Outcome, Owner
from tickrelay_messaging.message import Message

Broken = list[tuple[Received, MessageError]]
Answer = TypeVar("Answer")
_RUN = Outcome.RUN


class Fetcher:
    """
    Args:
        dispatch: takes works to be carried out.

    Attributes:
        heard: when it last had a reason to be silent no longer: messages, no room for them, or a new connection.
        received: how many messages it ever was given.
    """

    def __init__(
        self,
        shared: Shared,
        queue: str,
        handlers: Sequence[Handler],
        dispatch: Callable[[Sequence[Work]], None],
    ) -> None:
        self._shared = shared
        self.queue = queue
        self._handlers = handlers
        self._dispatch = dispatch
        is_ordered = any(handler.rule in IN_ORDER for handler in handlers)
        self._in_order: AbstractContextManager[object] = shared.in_order if is_ordered else nullcontext()
        self._again: SimpleQueue[Received] = SimpleQueue()
        self._acknowledger = Acknowledger(shared)
        self._count_received = shared.metrics.received.labels(queue, shared.group)
        self._count_undecodable = shared.metrics.undecodable.labels(queue, shared.group)
        self._errors = 0
        self._broker = shared.broker
        self._is_deaf = self._is_their_turn = False
        self.heard = time.monotonic()
        self.received = 0
        self.subscription: Subscription | None = None

    def run(self) -> None:
        """Until the consumer stops."""
        while not self._shared.stopping.is_set():
            try:
                self._fetch()
                self._errors = 0
            except ServiceError as error:
                self._errors += 1
                self._shared.note_trouble("broker", error, "can't fetch", queue=self.queue)
                self._shared.pause(self._errors)

    def claim_again(self, received: Received) -> None:
        """One of its handlers is through with it without an end: ask the ledger who has it now."""
        self._again.put(received)
        self.wake()

    def wake(self) -> None:
        """End a wait for messages."""
        if self.subscription is not None:
            self.subscription.wake()

    def rebuild(self) -> None:
        """Its subscription is deaf: have another, on a connection of its own."""
        self._is_deaf = True
        self.wake()

    def close(self) -> None:
        """Give back what wasn't acknowledged."""
        if self.subscription is not None:
            self.subscription.close()
        if self._broker is not self._shared.broker:
            self._broker.close()

    def _fetch(self) -> None:
        self._take_again()
        if not self._acknowledger.flush():
            self._shared.pause(1)
        if self._is_deaf:
            self._begin_anew()
        subscription = self._subscribe()
        room = self._wait_for_room()
        if not room:
            self.heard = time.monotonic()
            return
        patience = LONGEST_PAUSE if self._again.empty() else 0.0
        taken = subscription.receive(min(room, self._shared.limits.batch), patience)
        failpoint("consumer.after_receive")
        self._shared.progress = time.monotonic()
        if taken:
            self.received += len(taken)
            self._count_received.inc(len(taken))
            self._take([Received(subscription, delivery) for delivery in taken], given_up=[])
            self.heard = time.monotonic()

    def _wait_for_room(self) -> int:
        """Room in hand and room that breakers and rates leave; what they hold back stays on the queue."""
        shared = self._shared
        allowed = min(shared.load.wait_for_room(timeout=1.0), shared.gates.room(self.queue))
        if not allowed:
            shared.stopping.wait(shared.gates.wait(self.queue))
        return allowed

    def _subscribe(self) -> Subscription:
        if self.subscription is None:
            self.subscription = self._broker.subscribe(self.queue, self._shared.group)
        return self.subscription

    def _begin_anew(self) -> None:
        """The old ones are closed behind our back: a goodbye to a connection that is deaf takes its time."""
        shared = self._shared
        fresh = shared.reopen() if shared.reopen else self._broker
        old: list[Subscription | Broker] = []
        if self.subscription is not None:
            old.append(self.subscription)
            shared.ended.add(self.subscription)
        if self._broker not in (fresh, shared.broker):
            old.append(self._broker)
        threading.Thread(target=_close_all, args=(old,), name="tickrelay-goodbye", daemon=True).start()
        self.subscription, self._broker = None, fresh
        self._is_deaf, self.heard = False, time.monotonic()

    def _take_again(self) -> None:
        """In turns with new ones, so that a breaker's probe isn't always the same message."""
        self._is_their_turn = not self._is_their_turn or self._shared.gates.room(self.queue) >= PLENTY
        room = self._shared.gates.room(self.queue) if self._is_their_turn else 0
        found: list[Received] = []
        while len(found) < room and not self._again.empty():
            found.append(self._again.get())
        if found:
            self._take(list(dict.fromkeys(found)), given_up=found)

    def _take(self, deliveries: Sequence[Received], given_up: Sequence[Received]) -> None:
        """
        Claim for every handler; until the ledger has answered for all, the deliveries stay in this thread's hands.

        Args:
            given_up: each delivery as often as handlers are through with it, beside those that now ask.
        """
        good, messages, broken = _decode(deliveries)
        failpoint("consumer.after_decode")
        if not self._admit(len(good) * len(self._handlers)):
            return
        with self._in_order:
            works = self._claim(good, messages)
            if works is not None and self._bury(broken):
                failpoint("consumer.after_claim")
                self._acknowledger.add(hand_out(good, works, given_up))
                self._acknowledger.add([received for received, _ in broken])
                self._dispatch(works)
        if self._acknowledger:
            self._acknowledger.flush()
            failpoint("consumer.after_park")

    def _claim(self, good: Sequence[Received], messages: Sequence[Message]) -> list[Work] | None:
        """
        None if the consumer stops before all is claimed; what is claimed already is released with its owner.

        They were admitted for all handlers before they are claimed for any: whoever closes the intake waits until
        nothing is in hand.
        """
        works: list[Work] = []
        for handler in self._handlers:
            claims = self._ask(partial(self._claim_for, handler, messages))
            if claims is None:
                return None
            works += [
                Work(claim, handler, received)
                for claim, received in zip(claims, good, strict=True)
                if claim.outcome is _RUN
            ]
        self._shared.load.remove(len(good) * len(self._handlers) - len(works))
        self._shared.gates.book(works)
        return works

    def _admit(self, count: int) -> bool:
        while not self._shared.load.admit(count, timeout=1.0):
            if self._shared.stopping.is_set():
                return False
        return True

    def _ask(self, question: Callable[[Owner], Answer]) -> Answer | None:
        """Until the ledger answers; None if the consumer stops before."""
        shared = self._shared
        attempt = 0
        while not shared.stopping.is_set():
            owner = shared.owner
            try:
                return question(owner)
            except ServiceError as error:
                attempt += 1
                shared.note_trouble("ledger", error, "can't claim", queue=self.queue)
                shared.pause(attempt)
            except ClaimLost:
                shared.enroll_again(owner)
        return None

    def _claim_for(self, handler: Handler, messages: Sequence[Message], owner: Owner) -> list[Claim]:
        claims = self._shared.ledger.claim(
            owner, handler.route(self._shared.group), messages, rule=handler.rule
        )
        self._count(handler, claims)
        return claims

    def _count(self, handler: Handler, claims: Sequence[Claim]) -> None:
        for outcome, number in Counter([claim.outcome for claim in claims]).items():
            labels = (handler.queue, self._shared.group, handler.name, outcome.value)
            self._shared.metrics.claims.labels(*labels).inc(number)

    def _bury(self, broken: Broken) -> bool:
        """A message that can't be read is a dead letter for every handler, and never blocks what is behind it."""
        if broken and self._ask(lambda _: self._bury_all(broken)) is None:
            return False
        self._count_undecodable.inc(len(broken))
        return True

    def _bury_all(self, broken: Broken) -> bool:
        """Again is no harm: the ledger knows them by their place on the queue."""
        for handler in self._handlers:
            for received, error in broken:
                failure = Failure(type(error).__name__, str(error))
                self._shared.ledger.bury(handler.route(self._shared.group), [received.delivery], failure)
        return True


def _close_all(old: Sequence[Subscription | Broker]) -> None:
    for one in old:
        with suppress(TickrelayError):
            one.close()


def _decode(deliveries: Sequence[Received]) -> tuple[list[Received], list[Message], Broken]:
    """Those that are readable, their messages, and the others."""
    good: list[Received] = []
    messages: list[Message] = []
    broken: Broken = []
    for received in deliveries:
        try:
            messages.append(_message(received.delivery))
            good.append(received)
        except MessageError as error:
            broken.append((received, error))
    return good, messages, broken


def _message(delivery: Delivery) -> Message:
    """Reads the payload too, so that a body that isn't what it says is found before a handler has it."""
    message = envelope.decode(delivery.headers, delivery.body)
    message.data  # noqa: B018 - read for its error
    return message
