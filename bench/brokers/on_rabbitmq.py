# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The bare loops of pika, on a fanout exchange and quorum queue like ours: persistent, mandatory, the same headers.

Its asynchronous connection pipelines confirms; the blocking one, which most people use, waits for each.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import pika

from bench.brokers.material import headers, messages
from bench.brokers.worker import Clock
from bench.report import timed
from tickrelay_messaging.message import Message

WINDOW = 4096
"""Messages without a confirmation, as many as ours allows."""
PREFETCH, ACKED = 500, 250
"""Half a window is acknowledged at once, so that it never runs dry."""


def publish(url: str, number: int) -> float:
    """Pipelined: as many on their way as the window holds."""
    name = _declare(url, "bare-published")
    seconds = _Pipeline(url, name, messages(number)).run()
    _channel(url).queue_purge(name)
    return seconds


def publish_each(url: str, number: int) -> float:
    """`BlockingConnection`, which returns when the message is confirmed."""
    name, channel = _declare(url, "bare-each"), _confirming(url)

    def work() -> None:
        for message in messages(number):
            channel.basic_publish(name, "", message.body, _properties(message), mandatory=True)

    seconds = timed(work)
    _channel(url).queue_purge(name)
    return seconds


def receive(url: str, number: int) -> float:
    """Callbacks on a blocking connection, one acknowledgement for a batch."""
    name, channel, clock = _declare(url, "bare-received"), _channel(url), Clock()
    _Pipeline(url, name, messages(number)).run()
    waiting = 0

    def note(_: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal waiting
        assert properties.headers["ce-id"]
        assert body
        waiting += 1
        clock.add(1)
        if waiting >= ACKED or clock.count == number:
            channel.basic_ack(method.delivery_tag, multiple=True)
            waiting = 0

    channel.basic_qos(prefetch_count=PREFETCH)
    consumer = channel.basic_consume(name, note)
    while clock.count < number:
        channel.connection.process_data_events(1)
    seconds = clock.seconds()
    channel.basic_cancel(consumer)
    return seconds


class _Pipeline:
    """One run of pika's asynchronous connection."""

    def __init__(self, url: str, exchange: str, sent: Sequence[Message]) -> None:
        self._exchange = exchange
        self._sent = sent
        self._next = self._confirmed = 0
        self._channel: Any = None
        self._began = self._ended = 0.0
        self._connection: Any = pika.SelectConnection(
            pika.URLParameters(url),
            on_open_callback=lambda _: self._connection.channel(on_open_callback=self._opened),
        )

    def run(self) -> float:
        self._connection.ioloop.start()
        return self._ended - self._began

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.confirm_delivery(self._answered, callback=self._start)

    def _start(self, _: Any) -> None:
        self._began = time.perf_counter()
        self._send()

    def _send(self) -> None:
        end = min(len(self._sent), self._confirmed + WINDOW)
        publish, exchange = self._channel.basic_publish, self._exchange
        for message in self._sent[self._next : end]:
            publish(exchange, "", message.body, _properties(message), mandatory=True)
        self._next = end

    def _answered(self, frame: Any) -> None:
        assert isinstance(frame.method, pika.spec.Basic.Ack)
        # A quorum queue confirms in order, many at a time; one that isn't `multiple` is the next.
        self._confirmed = max(self._confirmed, frame.method.delivery_tag)
        if self._confirmed == len(self._sent):
            self._ended = time.perf_counter()
            self._connection.add_on_close_callback(lambda *_: self._connection.ioloop.stop())
            self._connection.close()
        elif self._next - self._confirmed < WINDOW // 2:
            self._send()


def _properties(message: Message) -> pika.BasicProperties:
    carried = headers(message, "ce-")
    kind = carried.pop("content-type")
    return pika.BasicProperties(
        kind, headers=carried, delivery_mode=2, message_id=message.id, timestamp=int(time.time())
    )


@cache
def _channel(url: str) -> Any:
    return pika.BlockingConnection(pika.URLParameters(url)).channel()


@cache
def _confirming(url: str) -> Any:
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    return channel


@cache
def _declare(url: str, name: str) -> str:
    """Exchange and queue of one name; returns it."""
    channel = _channel(url)
    channel.exchange_declare(name, "fanout", durable=True)
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(name, name)
    return name
