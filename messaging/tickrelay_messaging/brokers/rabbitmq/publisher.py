# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Confirmed publishing: thousands of messages on their way at once, and a name for each that isn't confirmed.

Callers marshal their messages in chunks and hand these over; the owner thread numbers and sends them and reads the
confirmations. All callers share one channel and one window.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from secrets import token_hex
from threading import Condition
from typing import Any

from pika import spec

from tickrelay_messaging.brokers.rabbitmq.call import Call, Route, chunks, cost
from tickrelay_messaging.brokers.rabbitmq.connection import Connection
from tickrelay_messaging.brokers.rabbitmq.errors import NOT_FOUND, publish_error
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.brokers.rabbitmq.wire import MARK, Frames
from tickrelay_messaging.errors import BrokerUnavailable, PublishUnconfirmed, TickrelayError
from tickrelay_messaging.message import Message

WINDOW = 4096
"""Most unconfirmed messages on one connection; a body counts once more per 4 KiB, which bounds memory at 16 MiB."""


class Publisher:
    """
    Args:
        link: a connection nothing else uses, since RabbitMQ stops reading from one that publishes when memory is short.
        gone: told that an exchange isn't there any more.
    """

    def __init__(self, link: Link, gone: Callable[[str], None]) -> None:
        self._link = link
        self._gone = gone
        self._changed = Condition()
        self._prefix = f"{MARK}{token_hex(8)}-"
        self._numbers = count(1)
        self._calls: dict[int, Call] = {}
        self._connection: Connection | None = None
        self._opening: Any = None
        self._channel: Any = None
        self._inflight: dict[int, tuple[Call, int]] = {}
        self._next = self._lowest = 1
        self._used = 0
        self._blocked = self._refused = False
        link.listen(self)

    # --- for callers -----------------------------------------------------------------------------------------

    def publish(self, route: Route, messages: Sequence[Message], deadline: float) -> None:
        """See `Broker.publish`; the messages are known to be sendable, and the exchange to exist."""
        channel = self._ready(deadline)
        call = Call(next(self._numbers), route, messages)
        with self._changed:
            self._calls[call.number] = call
        try:
            self._hand_over(call, channel, deadline)
            with self._changed:
                self._wait(lambda: call.over, deadline)
        finally:
            with self._changed:
                call.abandoned = True
                del self._calls[call.number]
        self._judge(call)

    def _ready(self, deadline: float) -> Any:
        self._link.connect(deadline)
        with self._changed:
            if self._wait(lambda: self._channel is not None, deadline):
                return self._channel
        raise BrokerUnavailable(f"{self._link.settings.where}: no channel in time; nothing was sent")

    def _hand_over(self, call: Call, channel: Any, deadline: float) -> None:
        frames = Frames(call.route, channel.channel_number, channel.connection.params.frame_max)
        for start, end, size in chunks(call.messages):
            names = [f"{self._prefix}{call.number:x}.{index:x}" for index in range(start, end)]
            data = frames.write(call.messages[start:end], names)
            with self._changed:
                if not self._wait(partial(self._room_for, size, call), deadline) or call.error is not None:
                    return
                self._used += size
            if not self._link.post(partial(self._send, call, channel, (start, end), data)):
                self._fail(call, BrokerUnavailable(f"{self._link.settings.where}: the connection was lost"))
                return

    def _room_for(self, size: int, call: Call) -> bool:
        fits = not self._used or self._used + size <= WINDOW
        return (fits and not self._blocked) or call.error is not None

    def _wait(self, condition: Callable[[], bool], deadline: float) -> bool:
        return self._changed.wait_for(condition, max(0.0, deadline - time.monotonic()))

    def _fail(self, call: Call, error: TickrelayError) -> None:
        with self._changed:
            call.error = call.error or error
            self._changed.notify_all()

    def _judge(self, call: Call) -> None:
        missing = call.unconfirmed()
        if not missing:
            return
        if call.returned:
            self._gone(call.exchange)
        reason = call.reason() or self._why_late()
        done = len(call.messages) - len(missing)
        if not done and (refusal := call.refusal()) is not None:
            raise refusal
        if call.error is not None and not call.sent:
            raise BrokerUnavailable(f"{reason}; nothing was sent") from call.error
        text = f"{call.exchange}: {done:,} messages confirmed, {len(missing):,} not: {reason}"
        raise PublishUnconfirmed(text, missing) from call.error

    def _why_late(self) -> str:
        where = self._link.settings.where
        if self._blocked:
            return f"{where} accepts no messages, for want of memory or disk; see rabbitmqctl status"
        return f"{where}: not in time"

    # --- in the owner thread -----------------------------------------------------------------------------------

    def up(self, connection: Connection) -> None:
        """Opens the channel; the window begins anew."""
        if connection is not self._connection:
            self._connection = connection
            connection.add_on_connection_blocked_callback(lambda *_: self._block(blocked=True))
            connection.add_on_connection_unblocked_callback(lambda *_: self._block(blocked=False))
            self._block(blocked=False)
            self._open()

    def down(self, error: BrokerUnavailable) -> None:
        """Fails every call under way."""
        self._connection = None
        self._reset(error)

    def _open(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        self._opening = channel
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._answered, callback=self._confirming)

    def _confirming(self, _: Any) -> None:
        with self._changed:
            self._channel = self._opening
            self._next = self._lowest = 1
            self._refused = False
            self._changed.notify_all()

    def _closed(self, channel: Any, reason: BaseException) -> None:
        """The broker refused something, for instance an exchange that is gone: what is on its way is lost with it."""
        if channel is self._opening:
            if getattr(reason, "reply_code", None) == NOT_FOUND:
                for call in list(self._calls.values()):
                    self._gone(call.exchange)
            self._reset(publish_error(reason, self._link.settings.where))
            self._open()

    def _reset(self, error: TickrelayError) -> None:
        with self._changed:
            self._channel = self._opening = None
            self._inflight.clear()
            self._used = 0
            for call in self._calls.values():
                call.error = call.error or error
            self._changed.notify_all()

    def _block(self, *, blocked: bool) -> None:
        with self._changed:
            self._blocked = blocked
            self._changed.notify_all()

    def _send(
        self, call: Call, channel: Any, part: tuple[int, int], data: bytes, connection: Connection
    ) -> None:
        if call.error is not None:
            return  # by a reset, which has emptied the window too
        if call.abandoned or channel is not self._channel:
            self._fail(call, BrokerUnavailable(f"{self._link.settings.where}: the connection was lost"))
            self._release(sum(cost(message) for message in call.messages[slice(*part)]))
            return
        for tag, index in enumerate(range(*part), self._next):
            self._inflight[tag] = (call, index)
        self._next += part[1] - part[0]
        call.sent = part[1]
        connection.send(data)

    def _answered(self, frame: Any) -> None:
        method = frame.method
        tag, good = method.delivery_tag, isinstance(method, spec.Basic.Ack)
        if method.multiple:
            last = tag or self._next - 1
            self._settle([self._inflight.pop(one, None) for one in range(self._lowest, last + 1)], good=good)
            self._lowest = max(self._lowest, last + 1)
        else:
            self._settle([self._inflight.pop(tag, None)], good=good)

    def _settle(self, entries: Sequence[tuple[Call, int] | None], *, good: bool) -> None:
        freed = 0
        for entry in entries:
            if entry is not None:
                call, index = entry
                call.settle(index, good=good)
                freed += cost(call.messages[index])
                self._refused |= not good
        self._release(freed)
        if self._refused and not self._inflight:
            self._renew()

    def _renew(self) -> None:
        """A channel that met a queue without a leader has every message refused for ever; another one hasn't."""
        old = self._opening
        with self._changed:
            self._channel = self._opening = None
        if old is not None and old.is_open:
            old.close()
        self._open()

    def _release(self, freed: int) -> None:
        with self._changed:
            self._used = max(0, self._used - freed)
            self._changed.notify_all()

    def _returned(self, _: Any, __: Any, properties: Any, ___: bytes) -> None:
        """No group is bound; the confirmation that follows says only that this has been said."""
        number, _, index = str(properties.message_id).removeprefix(self._prefix).partition(".")
        call = self._calls.get(int(number, 16))
        if call is not None:
            call.returned.add(int(index, 16))
