# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What handlers' transactions want published, on its way from the ledger's outbox to the broker.

A message that was confirmed just before this process died is published again by the next one, under the same id, and
whoever consumes it knows it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import ClaimLost, ServiceError, TickrelayError, UnknownQueue
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.records import Outgoing, Owner

LONGEST_SILENCE = 1.0
"""Seconds between two looks without having been woken: what a dead consumer has left wakes nobody."""


class Relay:
    """Empties the outbox: woken after each commit that put something there, by whichever process."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._woken = threading.Event()
        self._errors = 0

    def wake(self) -> None:
        """Something may be there."""
        self._woken.set()

    def run(self) -> None:
        """Until the consumer stops."""
        while not self._shared.stopping.is_set():
            self._woken.wait(LONGEST_SILENCE)
            self._woken.clear()
            self.empty()

    def empty(self) -> None:
        """Send what is there, as long as that works."""
        owner = self._shared.owner
        try:
            while found := self._shared.ledger.outbox.take(owner, self._shared.limits.batch):
                failpoint("relay.after_take")
                sent = [self._send(owner, queue, own) for queue, own in _by_queue(found).items()]
                if not all(sent):
                    self._pause()
                    return
                self._errors = 0
        except ServiceError as error:
            self._shared.note_trouble("ledger", error, "can't read the outbox")
            self._pause()
        except ClaimLost:
            self._pause()  # the keeper enrolls anew

    def _send(self, owner: Owner, queue: str, own: Sequence[Outgoing]) -> bool:
        """Whether the broker has them; what it hasn't is anybody's again, and keeps no other queue waiting."""
        numbers = [one.number for one in own]
        try:
            self._publish(queue, own)
        except TickrelayError as error:
            log.error(
                "can't publish what a handler wanted published; trying again", queue=queue, error=str(error)
            )
            self._shared.metrics.service_errors.labels("broker").inc()
            self._shared.ledger.outbox.release(owner, numbers)
            return False
        failpoint("relay.after_publish")
        self._shared.ledger.outbox.sent(owner, numbers)
        return True

    def _publish(self, queue: str, own: Sequence[Outgoing]) -> None:
        broker, messages = self._shared.broker, [one.message for one in own]
        try:
            broker.publish(queue, messages)
        except UnknownQueue:
            broker.declare(QueueSpec(queue))
            broker.publish(queue, messages)

    def _pause(self) -> None:
        self._errors += 1
        self._shared.pause(self._errors)
        self.wake()


def _by_queue(found: Sequence[Outgoing]) -> dict[str, list[Outgoing]]:
    chosen: dict[str, list[Outgoing]] = {}
    for one in found:
        chosen.setdefault(one.queue, []).append(one)
    return chosen
