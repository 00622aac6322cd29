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

from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.brokers.rabbitmq.feed import Feed, Pushed
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.brokers.rabbitmq.wire import position_of, read_headers
from tickrelay_messaging.errors import BrokerRefused, BrokerUnavailable, CallerError, ConfigurationError

GRACE = 5.0
"""Seconds without a broker after which a `receive` that has no timeout says so."""
GOODBYE = 2.0
"""Seconds to wait for the broker's answer to a close."""


class RabbitSubscription(Subscription):
    """
    Made by `RabbitBroker.subscribe`.

    Args:
        link: the connection for consumers.
        queue: its queue and group are known to exist.
    """

    def __init__(self, link: Link, queue: str, group: str) -> None:
        self._link = link
        self.queue, self.group = queue, group
        self._feed = Feed(link, queue, group)
        self._owner = os.getpid()
        self._joined = self._woken = self._closed = False

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
        life = self._feed.life
        tags = [
            token[1]
            for token in (d.token for d in deliveries)
            if isinstance(token, tuple) and token[0] is life
        ]
        if tags and life is not None:
            self._link.post(partial(self._feed.settle, life, tags))

    def wake(self) -> None:
        """See `Subscription.wake`."""
        self._woken = True
        self._feed.bell.put(None)

    def close(self) -> None:
        """See `Subscription.close`; RabbitMQ gives everything back when the channel is closed."""
        if self._closed or self._owner != os.getpid():
            return
        self._closed = self._feed.closed = True
        self._feed.bell.put(None)
        self._link.forget(self._feed)
        if self._link.post(self._feed.leave):
            self._feed.left.wait(GOODBYE)

    @property
    def in_flight(self) -> int:
        """Messages handed out and not acknowledged; an estimate while calls are under way."""
        life = self._feed.life
        return max(0, len(life.unsettled) - len(self._feed.buffer)) if life is not None else 0

    def drop_buffered(self) -> int:
        """Acknowledge what was pushed and not handed out yet; how many messages."""
        if self._feed.life is not None and self._link.post(partial(self._feed.look, answer := Event())):
            answer.wait(GOODBYE)
        dropped = self._take(len(self._feed.buffer))
        self.acknowledge(dropped)
        return len(dropped)

    def _join(self) -> None:
        if not self._joined:
            self._joined = True
            self._feed.down_since = time.monotonic()
            self._link.revive()
            self._link.listen(self._feed)
        elif self._feed.life is None:
            self._link.revive()

    def _hush(self) -> None:
        """Forget old rings; before looking into the buffer, so that no new one is missed."""
        with suppress(Empty):
            while True:
                self._feed.bell.get_nowait()

    def _take(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        life, buffer = self._feed.life, self._feed.buffer
        with suppress(IndexError):
            while len(taken) < limit:
                pushed = buffer.popleft()
                if pushed.life is life:
                    taken.append(self._delivery(pushed))
        return taken

    def _wait(self, deadline: float | None) -> bool:
        """Until the bell rings; False when the time is over."""
        life = self._feed.life
        if life is not None and life.held >= self._feed.prefetch:
            self._link.post(partial(self._feed.ask_for_more, life))
        try:
            self._feed.bell.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            self._complain(after=0.0)
            return False
        self._complain(after=GRACE)
        return True

    def _interrupted(self) -> bool:
        if self._woken:
            # Reset only when set: a signal handler's wake between reading and resetting would be lost.
            self._woken = False
            return True
        return self._closed

    def _complain(self, after: float) -> None:
        error = self._feed.error
        late = time.monotonic() - self._feed.down_since >= after or isinstance(error, BrokerRefused)
        if error is not None and late and not self._closed:
            kind = type(error) if isinstance(error, BrokerUnavailable) else BrokerUnavailable
            raise kind(str(error)) from error

    def _check_process(self) -> None:
        if self._owner != os.getpid():
            raise CallerError(
                f"this subscription to {self.queue!r} is the parent process's; subscribe anew after a fork"
            )

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
