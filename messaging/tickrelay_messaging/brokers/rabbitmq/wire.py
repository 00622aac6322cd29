# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Messages as AMQP 0-9-1 frames, and back.

Publishing builds the three frames of a message in one go: pika's own marshalling of headers costs more than all the
rest of a confirmed publish. Reading leaves frames to pika.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any

from tickrelay_messaging.brokers.lanes import lane_of
from tickrelay_messaging.brokers.rabbitmq.call import Route
from tickrelay_messaging.brokers.rabbitmq.names import MAX_SHORT, lane_key
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.errors import InvalidMessage, MessageTooLarge
from tickrelay_messaging.message import MAX_BODY, Message, check_publishable

CE = "ce-"
MARK = "tickrelay-"
"""Begins the AMQP message id of what we publish, so that a redelivery has the same position."""
_CONTENT_TYPE = "content-type"
_BROKERS_OWN = ("x-delivery-count", "x-acquired-count")
_FRAME_ROOM = 1024
"""Bytes of a header frame kept for everything but the headers."""
_METHOD, _HEADER, _BODY = 1, 2, 3
_END = b"\xce"
_FRAME = Struct(">BHI").pack
_LONG = Struct(">I").pack
_CONTENT = Struct(">HHQH").pack
_TIMESTAMP = Struct(">Q").pack
_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"
"""Class, method, and a ticket nobody uses any more."""
_MANDATORY = b"\x01"
_BASIC = 60
_WITH_TYPE = 0x8000 | 0x2000 | 0x1000 | 0x0080 | 0x0040
"""Content type, headers, delivery mode, message id, timestamp."""
_WITHOUT_TYPE = _WITH_TYPE & ~0x8000
_PERSISTENT = b"\x02"


def check_sendable(messages: Sequence[Message], frame_max: int = 131_072) -> None:
    """
    Refuse what RabbitMQ can't carry, before anything is sent.

    Raises:
        InvalidMessage: a message no consumer could carry out, or a header's name over 255 bytes.
        MessageTooLarge: body over the limit, or headers that don't fit into one frame.
    """
    for message in messages:
        check_publishable(message, MAX_BODY)
        if message.headers or message.extensions or _is_long(message):
            _check_headers(message, frame_max)


def _is_long(message: Message) -> bool:
    texts = (message.id, message.source, message.type, message.subject, message.key, message.content_type)
    return sum(len(text) for text in texts if text) > _FRAME_ROOM


def _check_headers(message: Message, frame_max: int) -> None:
    headers = encode(message, CE)
    size = sum(map(len, headers)) + sum(map(len, headers.values()))
    if 4 * size + 6 * len(headers) + _FRAME_ROOM <= frame_max and max(map(len, headers)) <= MAX_SHORT // 4:
        return
    for name in headers:
        if len(name.encode()) > MAX_SHORT:
            raise InvalidMessage(f"message {message.id!r}: header {name[:40]!r}... is over {MAX_SHORT} bytes")
    if (size := len(_table(headers))) + _FRAME_ROOM > frame_max:
        raise MessageTooLarge(
            f"message {message.id!r}: its headers of {size:,} bytes don't fit into a frame of {frame_max:,}"
        )


class Frames:
    """
    Writes messages for one exchange on one channel.

    Args:
        route: where they go; without lanes with an empty routing key.
        channel: its number.
        frame_max: largest frame in bytes that was agreed upon.
    """

    def __init__(self, route: Route, channel: int, frame_max: int) -> None:
        self._channel = channel
        self._room = frame_max - 8
        self._exchange, self._lanes = route
        self._plain = self._method("")
        self._methods: dict[int, bytes] = {}

    def write(self, messages: Sequence[Message], ids: Sequence[str]) -> bytes:
        """The frames of messages, each with an AMQP message id of its own."""
        now = _TIMESTAMP(int(time.time()))
        return b"".join(
            [self._write(message, name, now) for message, name in zip(messages, ids, strict=True)]
        )

    def _write(self, message: Message, name: str, now: bytes) -> bytes:
        headers = encode(message, CE)
        kind = _content_type(headers)
        tail = _PERSISTENT + _short(name) + now
        table = _table(headers)
        size = len(message.body)
        start = _CONTENT(_BASIC, 0, size, _WITH_TYPE if kind else _WITHOUT_TYPE)
        header = b"".join((start, kind, _LONG(len(table)), table, tail))
        body = message.body
        method = self._to_lane(lane_of(message, self._lanes)) if self._lanes else self._plain
        return b"".join((method, self._frame(_HEADER, header), *self._bodies(body)))

    def _to_lane(self, lane: int) -> bytes:
        if lane not in self._methods:
            self._methods[lane] = self._method(lane_key(lane, self._lanes))
        return self._methods[lane]

    def _method(self, key: str) -> bytes:
        return self._frame(_METHOD, _PUBLISH + _short(self._exchange) + _short(key) + _MANDATORY)

    def _bodies(self, body: bytes) -> list[bytes]:
        if len(body) <= self._room:
            return [self._frame(_BODY, body)] if body else []
        return [self._frame(_BODY, body[at : at + self._room]) for at in range(0, len(body), self._room)]

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return _FRAME(kind, self._channel, len(payload)) + payload + _END


def _content_type(headers: dict[str, str]) -> bytes:
    """Takes it out of the headers, unless it is too long for the property."""
    text = headers.get(_CONTENT_TYPE)
    if not text or len(text) > MAX_SHORT // 4:
        return b""
    del headers[_CONTENT_TYPE]
    return _short(text)


def _table(headers: Mapping[str, str]) -> bytes:
    parts: list[bytes] = []
    for name, value in headers.items():
        raw = value.encode()
        parts += (_name(name), _LONG(len(raw)), raw)
    return b"".join(parts)


@lru_cache(2048)
def _name(text: str) -> bytes:
    return _short(text) + b"S"


def _short(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw


def read_headers(properties: Any) -> dict[str, str]:
    """The headers that travelled, as text, with the content type among them."""
    found = properties.headers or {}
    headers = {
        name: value if value.__class__ is str else _text(value)
        for name, value in found.items()
        if name.__class__ is str and name not in _BROKERS_OWN
    }
    if properties.content_type is not None:
        headers[_CONTENT_TYPE] = properties.content_type
    return headers


def _text(value: Any) -> str:
    """A foreign publisher's number, instant, table..."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if isinstance(value, str) else json.dumps(value, default=str)


def position_of(properties: Any, body: bytes) -> str:
    """
    The same at every delivery of one message.

    Foreign messages have nothing of the kind; theirs is a digest of everything in them.
    """
    name = properties.message_id
    if name and name.startswith(MARK):
        return str(name)
    headers = sorted(read_headers(properties).items())
    return blake2b(repr((name, properties.timestamp, headers)).encode() + body, digest_size=16).hexdigest()
