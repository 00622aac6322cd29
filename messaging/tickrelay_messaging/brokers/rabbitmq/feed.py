# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What RabbitMQ pushes to one subscription: the part that lives in the connection's owner thread.

A *life* is one channel: what it brought can be acknowledged on it only. When it ends, all of that comes again, marked,
on the next.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any, NamedTuple

from pika.exceptions import NoFreeChannels

from tickrelay_messaging.brokers.rabbitmq.connection import Connection
from tickrelay_messaging.brokers.rabbitmq.errors import NO_CHANNEL, channel_error
from tickrelay_messaging.brokers.rabbitmq.link import Link, pause_before
from tickrelay_messaging.errors import BrokerRefused, BrokerUnavailable, TickrelayError

LOOK = 20.0
"""Seconds without a delivery after which the broker is asked whether there should have been one."""


class Inbox:
    """
    What the feeds of one subscription share with its caller.

    Attributes:
        buffer: what came and wasn't handed out yet; of former lives too, which the reader skips.
        bell: rung when there is something new: messages, trouble, an end.
        lock: held to hand out, and to decide that nothing more is handed out.
    """

    def __init__(self) -> None:
        self.buffer: deque[Pushed] = deque()
        self.bell: SimpleQueue[None] = SimpleQueue()
        self.lock = Lock()


class Life:
    """
    One channel; compared by identity.

    Attributes:
        feed: whose it is.
        unsettled: delivery tag -> consumer tag of what was pushed and not acknowledged, oldest first.
        consumer: tag of the present consumer on it.
        held: how many of the unsettled are the present consumer's.
        arrived: how many were ever pushed.
        out: how many the caller has in hand.
        over: nothing more of it is handed out; what isn't handed out goes back.
        silences: looks in a row that found messages which weren't pushed.
    """

    def __init__(self, channel: Any, feed: Feed) -> None:
        self.channel = channel
        self.feed = feed
        self.unsettled: dict[int, str] = {}
        self.consumer = ""
        self.held = self.arrived = self.out = self.silences = 0
        self.over = False


class Pushed(NamedTuple):
    """One message as it came."""

    life: Life
    tag: int
    redelivered: bool
    properties: Any
    body: bytes


class Feed:
    """
    Args:
        name: RabbitMQ's queue.
        inbox: takes what it pushes.

    Attributes:
        life: the present one, or None; `error` says why, as far as known, and `down_since` (monotonic) how long.
        left: set once a closed feed has given everything back.
    """

    def __init__(self, link: Link, name: str, inbox: Inbox) -> None:
        self.where = f"{link.settings.where}: {name}"
        self.prefetch = link.settings.prefetch
        self.inbox = inbox
        self.life: Life | None = None
        self.error: TickrelayError | None = None
        self.down_since = time.monotonic()
        self.closed = False
        self.left = Event()
        self._name = name
        self._connection: Connection | None = None
        self._attempt = 0
        self._rung = False

    def up(self, connection: Connection) -> None:
        """Opens a channel on a new connection."""
        if connection is not self._connection:
            self._connection = connection
            self._open()

    def down(self, error: BrokerUnavailable) -> None:
        """The connection is gone, and what it had brought."""
        self._connection = None
        self._end(error)

    def _open(self) -> None:
        if self._connection is None or not self._connection.is_open or self.closed:
            return
        try:
            self._connection.channel(on_open_callback=self._opened)
        except NoFreeChannels:
            self._end(BrokerRefused(f"{self.where}: {NO_CHANNEL}"))

    def _opened(self, channel: Any) -> None:
        if self.closed:
            channel.close()
            return
        life = Life(channel, self)
        channel.add_on_close_callback(partial(self._channel_closed, life))
        channel.add_on_cancel_callback(lambda _: self._cancelled(life))
        self.life = life
        channel.basic_qos(prefetch_count=self.prefetch, callback=lambda _: self._consume(life))
        self._watch(life, -1)

    def _consume(self, life: Life) -> None:
        if life is self.life and life.channel.is_open:
            life.held = 0
            life.consumer = life.channel.basic_consume(
                self._name, partial(self._pushed, life), callback=lambda _: self._consuming(life)
            )

    def _consuming(self, life: Life) -> None:
        if life is self.life:
            self._attempt, self.error = 0, None

    def _pushed(self, life: Life, _: Any, method: Any, properties: Any, body: bytes) -> None:
        life.unsettled[method.delivery_tag] = method.consumer_tag
        life.held += method.consumer_tag == life.consumer
        life.arrived += 1
        self.inbox.buffer.append(Pushed(life, method.delivery_tag, method.redelivered, properties, body))
        if not self._rung:  # once for all that one read of the socket brought: the caller gets batches
            self._rung = True
            life.channel.connection.ioloop.add_callback_threadsafe(self._ring)

    def _ring(self) -> None:
        self._rung = False
        self.inbox.bell.put(None)

    def settle(self, life: Life, tags: Sequence[int], _: Connection) -> None:
        """One frame for the oldest without a gap; one each for the others, since what is between is still in work."""
        if life is not self.life or not life.channel.is_open:
            return
        wanted = set(tags) & life.unsettled.keys()
        prefix = list(takewhile(wanted.__contains__, life.unsettled))
        if prefix:
            life.channel.basic_ack(prefix[-1], multiple=len(prefix) > 1)
        for tag in sorted(wanted.difference(prefix)):
            life.channel.basic_ack(tag)
        for tag in wanted:
            life.held -= life.unsettled.pop(tag) == life.consumer
        with self.inbox.lock:
            life.out -= len(wanted)

    def ask_for_more(self, life: Life, _: Connection) -> None:
        """
        All that was fetched ahead is in the caller's hands, and he wants more than the prefetch at once.

        The prefetch of a consumer can't be changed; another consumer on the same channel has its own, and what the
        first brought can still be acknowledged.
        """
        full = life.held >= self.prefetch and not self.inbox.buffer
        if full and life is self.life and life.channel.is_open:
            life.held = 0
            life.channel.basic_cancel(life.consumer, callback=lambda _: self._consume(life))

    def _cancelled(self, life: Life) -> None:
        """The queue was deleted, its leader moved, or this consumer was too slow."""
        self._begin_again(life, "the broker cancelled the consumer")

    def _begin_again(self, life: Life, why: str) -> None:
        """Closing the channel gives back what it had brought, and opens the next."""
        if life is self.life and life.channel.is_open:
            self._end(BrokerUnavailable(f"{self.where}: {why}"))
            self._close(life.channel)

    def _channel_closed(self, life: Life, _: Any, reason: BaseException) -> None:
        if self.closed:
            self.left.set()
            return
        if life is self.life:
            self._end(channel_error(reason, self.where))
        if self._connection is not None and self._connection.is_open:
            self._connection.ioloop.call_later(pause_before(self._attempt), self._open)
            self._attempt += 1

    def _end(self, error: TickrelayError) -> None:
        if self.error is None:
            self.down_since = time.monotonic()
        if self.life is not None:
            self.life.over = True
        self.error, self.life = error, None
        self._rung = False
        self.inbox.bell.put(None)

    def leave(self, _: Connection) -> None:
        """Close the channel: RabbitMQ gives back what it had brought. Acknowledging ends here."""
        life, self.life = self.life, None
        if life is not None and life.channel.is_open:
            self._close(life.channel)
        else:
            self.left.set()

    def _close(self, channel: Any) -> None:
        channel.close()

    def look(self, answer: Event, _: Connection) -> None:
        """A round trip on the consumer's channel: what was under way to it has arrived then."""
        life = self.life
        if life is not None and life.channel.is_open:
            life.channel.queue_declare(self._name, passive=True, callback=lambda _: answer.set())
        else:
            answer.set()

    def _watch(self, life: Life, seen: int) -> None:
        """Connected but deaf: the queue has messages, this consumer holds none, and none came since the last look."""
        if life is not self.life or not life.channel.is_open:
            return
        if life.arrived == seen and not life.unsettled:
            order = partial(life.channel.queue_declare, self._name, passive=True)
            order(callback=lambda answer: self._wonder(life, answer.method.message_count))
        life.channel.connection.ioloop.call_later(LOOK, partial(self._watch, life, life.arrived))

    def _wonder(self, life: Life, ready: int) -> None:
        life.silences = life.silences + 1 if ready and not life.unsettled else 0
        if life.silences > 1:
            self._begin_again(life, f"{ready:,} messages are ready and none came")
