# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One consumer's seat in a group on RabbitMQ.

RabbitMQ pushes up to `prefetch` messages ahead, from the first `receive` on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from queue import Empty
from threading import Event

from tickrelay_messaging.brokers.base import Delivery, QueueSpec, Subscription
from tickrelay_messaging.brokers.rabbitmq.feed import Inbox, Life, Pushed
from tickrelay_messaging.brokers.rabbitmq.lanes import feeds_of
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.brokers.rabbitmq.wire import position_of, read_headers
from tickrelay_messaging.brokers.seat import Seat
from tickrelay_messaging.errors import BrokerRefused, BrokerUnavailable, ConfigurationError

GRACE = 5.0
"""Seconds without a broker after which a `receive` that has no timeout says so."""
GOODBYE = 2.0
"""Seconds to wait for the broker's answer to a close."""


class RabbitSubscription(Seat, Subscription):
    """
    Made by `RabbitBroker.subscribe`.

    Args:
        link: the connection for consumers.
        spec: its queue and its one group are known to exist.
    """

    def __init__(self, link: Link, spec: QueueSpec) -> None:
        super().__init__(spec.name)
        self._link = link
        self.queue, (self.group,) = spec.name, spec.groups
        self._inbox = Inbox()
        self._feeds = feeds_of(link, spec, self._inbox)
        self._joined = False

    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        """
        See `Subscription.receive`. The first call begins to fetch: a subscription nobody reads holds nothing.

        A broker that is away is no error as long as it comes back before the timeout, or within 5 s without one.
        """
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, got {limit}")
        self._check_process()
        if not self._closed:
            self._join()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._interrupted():
            self._hush()
            if taken := self._take(limit):
                return taken
            if not self._wait(deadline):
                break
        return []

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """
        See `Subscription.acknowledge`; doesn't wait, since RabbitMQ answers no acknowledgement.

        What a lost connection had brought is ignored: it comes again, marked.
        """
        self._check_process()
        tags: dict[Life, list[int]] = {}
        for delivery in deliveries:
            if isinstance(delivery.token, tuple):
                life, tag = delivery.token
                tags.setdefault(life, []).append(tag)
        for life, its in tags.items():
            if life.feed.inbox is self._inbox:
                self._link.post(partial(life.feed.settle, life, its))

    def wake(self) -> None:
        """See `Subscription.wake`."""
        self._woken = True
        self._inbox.bell.put(None)

    def close(self) -> None:
        """See `Subscription.close`; RabbitMQ gives everything back when the channels are closed."""
        if self._closed or self._owner != os.getpid():
            return
        self._closed = True
        self._inbox.bell.put(None)
        for feed in self._feeds:
            feed.closed = True
            self._link.forget(feed)
        end = time.monotonic() + GOODBYE
        for feed in [feed for feed in self._feeds if self._link.post(feed.leave)]:
            feed.left.wait(max(0.0, end - time.monotonic()))

    def drop_buffered(self) -> int:
        """Acknowledge what was pushed and not handed out yet; how many messages."""
        looks = [(feed, Event()) for feed in self._feeds if feed.life is not None]
        answers = [answer for feed, answer in looks if self._link.post(partial(feed.look, answer))]
        end = time.monotonic() + GOODBYE
        for answer in answers:
            answer.wait(max(0.0, end - time.monotonic()))
        dropped = self._take(len(self._inbox.buffer))
        self.acknowledge(dropped)
        return len(dropped)

    def _join(self) -> None:
        if not self._joined:
            self._joined = True
            self._link.revive()
            for feed in self._feeds:
                feed.down_since = time.monotonic()
                self._link.listen(feed)
        elif self._feeds[0].life is None:
            self._link.revive()

    def _hush(self) -> None:
        """Forget old rings; before looking into the buffer, so that no new one is missed."""
        with suppress(Empty):
            while True:
                self._inbox.bell.get_nowait()

    def _take(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        buffer = self._inbox.buffer
        with self._inbox.lock, suppress(IndexError):
            while len(taken) < limit:
                pushed = buffer.popleft()
                if not pushed.life.over:
                    pushed.life.out += 1
                    taken.append(self._delivery(pushed))
        return taken

    def _wait(self, deadline: float | None) -> bool:
        """Until the bell rings; False when the time is over."""
        feed = self._feeds[0]
        life = feed.life
        if life is not None and life.held >= feed.prefetch:
            self._link.post(partial(feed.ask_for_more, life))
        try:
            self._inbox.bell.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            self._complain(after=0.0)
            return False
        self._complain(after=GRACE)
        return True

    def _complain(self, after: float) -> None:
        for feed in self._feeds:
            error = feed.error
            late = time.monotonic() - feed.down_since >= after or isinstance(error, BrokerRefused)
            if error is not None and late and not self._closed:
                kind = type(error) if isinstance(error, BrokerUnavailable) else BrokerUnavailable
                raise kind(str(error)) from error

    def _delivery(self, pushed: Pushed) -> Delivery:
        life, tag, redelivered, properties, body = pushed
        return Delivery(
            self.queue,
            self.group,
            position_of(properties, body),
            read_headers(properties),
            body,
            redelivered=redelivered,
            token=(life, tag),
        )
