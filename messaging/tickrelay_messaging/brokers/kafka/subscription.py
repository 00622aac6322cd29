# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One consumer's seat in a group of the Kafka broker: what its caller sees of a `Member`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from queue import Empty
from threading import Lock, RLock
from typing import Any
from weakref import finalize

from confluent_kafka import Message

from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.brokers.kafka.errors import ours
from tickrelay_messaging.brokers.kafka.lanes import Lane
from tickrelay_messaging.brokers.kafka.member import Member
from tickrelay_messaging.brokers.kafka.records import headers_of
from tickrelay_messaging.brokers.seat import Seat
from tickrelay_messaging.errors import BrokerRefused, ConfigurationError

DIRECT = 0.005
"""Seconds the caller polls by itself before it lets the thread wait for it; so long a `wake` may take."""


class KafkaSubscription(Seat, Subscription):
    """
    Made by `KafkaBroker.subscribe`.

    Acknowledgements are sent at once and confirmed behind the caller's back, one commit at a time; a consumer that dies
    within these milliseconds gets its messages again, and so it does what it finished behind an unfinished one:
    Kafka keeps one number a partition.

    Args:
        names: of queue and group.
    """

    def __init__(self, names: tuple[str, str], member: Member) -> None:
        super().__init__(names[0])
        self._group = names[1]
        self._member = member
        self._receiving = RLock()
        self._batch: list[Message] = []
        self._lanes: dict[int, Lane] = {}
        self._next = 0
        self._abandoned = finalize(self, member.ask_to_leave)
        self._await_share()

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
                if self._next >= len(self._batch) and not self._open_batch(limit, deadline):
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

    def _await_share(self) -> None:
        member = self._member
        while not member.joined.wait(0.05) and time.monotonic() < member.share_by:
            if isinstance(member.trouble, BrokerRefused):
                self.close()
                raise member.trouble

    def _open_batch(self, limit: int, deadline: float | None) -> bool:
        """Get the next messages, or a reason to look up; False when the time is over."""
        member = self._member
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        batch = member.take(limit, DIRECT if left is None else min(left, DIRECT))
        if batch is None or not batch[1]:
            try:
                batch = member.await_batch(left)
            except Empty:
                return False
        if batch is None:
            self._raise_trouble()
            return True
        member.recover()
        self._lanes, self._batch = batch
        self._next = 0
        return True

    def _raise_trouble(self) -> None:
        trouble, self._member.trouble = self._member.trouble, None
        if trouble is not None and not self._closed:
            raise trouble

    def _hand_out(self, limit: int) -> list[Delivery]:
        """From the open batch; without what was taken away or purged meanwhile."""
        taken: list[Delivery] = []
        with self._member.lock:
            while self._next < len(self._batch) and len(taken) < limit:
                messages = self._batch[self._next : self._next + limit - len(taken)]
                self._next += len(messages)
                self._add(taken, messages)
        if not taken:
            self._raise_trouble()
        return taken

    def _add(self, taken: list[Delivery], messages: list[Message]) -> None:
        """One loop without calls of our own: half of the time per message went into them."""
        queue, group, lane_of, add = self._queue, self._group, self._lanes.get, taken.append
        message: Any  # the stub says what may be sent, too
        for message in messages:
            offset = message.offset()
            lane = lane_of(message.partition())
            if lane is None or not lane.live or offset < lane.floor or message.error() is not None:
                self._note_error(message)
                continue
            lane.open[offset] = None
            lane.next = offset + 1
            try:
                headers = {name: value.decode() for name, value in message.headers()}
            except (TypeError, AttributeError, UnicodeDecodeError):
                headers = headers_of(message)
            place = f"{lane.partition}:{offset}"
            body = message.value() or b""
            add(Delivery(queue, group, place, headers, body, offset < lane.again, (lane, offset)))

    def _note_error(self, message: Message) -> None:
        if (error := message.error()) is not None:
            self._member.trouble = ours(error, f"queue {self._queue!r}")
