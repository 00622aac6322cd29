# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One consumer's seat in a group of the Kafka broker: what its caller sees of a `Member`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from queue import Empty
from threading import Lock, RLock
from weakref import finalize

from confluent_kafka import Message

from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.brokers.kafka.errors import ours
from tickrelay_messaging.brokers.kafka.lanes import Lane
from tickrelay_messaging.brokers.kafka.member import Member
from tickrelay_messaging.brokers.kafka.records import body_of, headers_of
from tickrelay_messaging.errors import CallerError, ConfigurationError

JOINING = 10.0
"""Longest time in seconds `subscribe` waits for a share; after that the thread goes on joining."""


class KafkaSubscription(Subscription):
    """
    Made by `KafkaBroker.subscribe`.

    Acknowledgements are sent at once and confirmed behind the caller's back, one commit at a time; a consumer that dies
    within these milliseconds gets its messages again, and so it does what it finished behind an unfinished one:
    Kafka keeps one number a partition.

    Args:
        names: of queue and group.
    """

    def __init__(self, names: tuple[str, str], member: Member) -> None:
        self._queue, self._group = names
        self._member = member
        self._owner = os.getpid()
        self._receiving = RLock()
        self._batch: list[Message] = []
        self._lanes: dict[int, Lane] = {}
        self._next = 0
        self._woken = self._closed = False
        self._abandoned = finalize(self, member.ask_to_leave)
        member.joined.wait(JOINING)

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        """See `Subscription.receive`; messages of one partition come in their order."""
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, got {limit}")
        self._check_process()
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._receiving:
            while not self._interrupted():
                if taken := self._hand_out(limit):
                    return taken
                if self._next >= len(self._batch) and not self._open_batch(deadline):
                    break
        return []

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.acknowledge`, and this class for what Kafka can't do."""
        self._check_process()
        member = self._member
        with member.lock:
            for delivery in deliveries:
                token = delivery.token
                if isinstance(token, tuple) and token[0].member is member:
                    token[0].finish(token[1])
            member.commit()

    def wake(self) -> None:
        """See `Subscription.wake`."""
        self._woken = True
        self._member.batches.put(None)

    def close(self) -> None:
        """See `Subscription.close`; takes as long as the group needs to be told, at most 15 s."""
        if self._closed or self._owner != os.getpid():
            return
        self._closed = True
        self._abandoned.detach()
        self._member.leave()

    def lanes(self) -> list[Lane]:
        """Its partitions; use them under `lock`."""
        return [] if self._closed or self._owner != os.getpid() else list(self._member.lanes.values())

    @property
    def lock(self) -> Lock:
        """The member's lock."""
        return self._member.lock

    @property
    def names(self) -> tuple[str, str]:
        """Of queue and group."""
        return self._queue, self._group

    def _interrupted(self) -> bool:
        if self._woken:
            # Reset only when set: a signal handler's wake between reading and resetting would be lost.
            self._woken = False
            return True
        return self._closed

    def _check_process(self) -> None:
        if self._owner != os.getpid():
            raise CallerError(
                f"this subscription to {self._queue!r} is the parent process's; subscribe anew after a fork"
            )

    def _open_batch(self, deadline: float | None) -> bool:
        """Wait for the next messages, or for a reason to look up; False when the time is over."""
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            batch = self._member.batches.get(left != 0.0, left or None)
        except Empty:
            return False
        if batch is None:
            self._raise_trouble()
            return True
        self._member.trouble = None  # it's over
        self._lanes, self._batch = batch
        self._next = 0
        self._member.opened(self._batch)
        return True

    def _raise_trouble(self) -> None:
        trouble, self._member.trouble = self._member.trouble, None
        if trouble is not None and not self._closed:
            raise trouble

    def _hand_out(self, limit: int) -> list[Delivery]:
        """From the open batch; without what was taken away or purged meanwhile."""
        taken: list[Delivery] = []
        queue, group, lanes = self._queue, self._group, self._lanes
        with self._member.lock:
            while self._next < len(self._batch) and len(taken) < limit:
                messages = self._batch[self._next : self._next + limit - len(taken)]
                self._next += len(messages)
                # One loop without calls of our own: a quarter of the time per message went into them.
                for message in messages:
                    offset: int = message.offset()  # type: ignore[assignment]  # None only when publishing
                    lane = lanes.get(message.partition())  # type: ignore[arg-type]
                    if lane is None or not lane.live or offset < lane.floor:
                        self._note_error(message)
                        continue
                    lane.open[offset] = None
                    lane.next = offset + 1
                    position = f"{lane.partition}:{offset}"
                    headers, body, again = headers_of(message), body_of(message), offset < lane.again
                    taken.append(Delivery(queue, group, position, headers, body, again, (lane, offset)))
        if not taken:
            self._raise_trouble()
        return taken

    def _note_error(self, message: Message) -> None:
        if (error := message.error()) is not None:
            self._member.trouble = ours(error, f"queue {self._queue!r}")
