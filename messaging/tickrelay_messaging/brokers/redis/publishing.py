# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Publishing to Redis: chunks of messages, each stored by one script, several chunks under way at once.

A chunk is stored whole or not at all, since the server asks for memory and for the queue before the script writes.
While the server stores one chunk this process packs the next.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence

from tickrelay_messaging.brokers.redis import entries
from tickrelay_messaging.brokers.redis.scripts import PUT
from tickrelay_messaging.brokers.redis.wire import Wire
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    PublishUnconfirmed,
    TickrelayError,
)
from tickrelay_messaging.message import Message

CHUNK = 250
"""Most messages in a chunk; the server serves nobody else while it stores one, about 2 ms."""
CHUNK_BYTES = 1 << 20
MOST_UNDER_WAY = 16
"""Most chunks without an answer."""
MOST_BYTES_UNDER_WAY = 16 << 20


class Publishing:
    """
    One call of `publish`.

    Args:
        wire: for this call alone.
        keys: of stream, bell and settings.
        messages: checked already.
        lanes: of the queue, as far as is known.
        deadline: by the monotonic clock.
    """

    def __init__(
        self,
        wire: Wire,
        keys: Sequence[bytes],
        messages: Sequence[Message],
        deadline: float,
        *,
        lanes: int = 0,
    ) -> None:
        self._wire = wire
        self._lanes = lanes
        self._keys = keys
        self._messages = messages
        self._deadline = deadline
        self._under_way: deque[tuple[int, int, int]] = deque()
        self._bytes = 0
        self._confirmed: list[tuple[int, int]] = []
        self._refusal: TickrelayError | None = None
        self._unknown = False

    def run(self) -> None:
        """
        Store all messages.

        Raises:
            OtherLanes: none is stored; the queue has another number of lanes.
            PublishUnconfirmed: some may or may not be stored.
            TickrelayError: the server's own refusal; none is stored.
        """
        try:
            for start, end, packed in self._chunks():
                self._make_room(len(packed))
                if self._refusal:
                    break
                self._send(start, end, packed)
            while self._under_way:
                self._hear()
        except BrokerUnavailable as error:
            self._refusal = self._refusal or error
        if self._refusal:
            raise self._outcome(self._refusal)

    def replicate(self, replicas: int) -> None:
        """
        Wait until so many replicas have what was stored.

        Raises:
            PublishUnconfirmed: they haven't; a failover now might lose any of it.
        """
        try:
            left = self._left()
            # The server gives up a little earlier than this side, so that its answer is heard.
            reached = self._wire.call("WAIT", replicas, max(1, int(left * 900)), within=left)
        except BrokerUnavailable as error:
            self._confirmed, self._unknown = [], True
            raise self._outcome(error) from error
        if reached < replicas:
            self._confirmed, self._unknown = [], True
            raise self._outcome(BrokerUnavailable(f"{reached} replicas have them, not {replicas}"))

    def _chunks(self) -> Iterator[tuple[int, int, bytes]]:
        """Start, end and packed command of every chunk, made when asked for."""
        start, arguments, size, parts = 0, 0, 0, [b""]
        for end, message in enumerate(self._messages):
            count, packed = entries.pack(message, self._lanes)
            if end > start and (end - start >= CHUNK or size + len(packed) > CHUNK_BYTES):
                yield start, end, self._command(arguments, parts)
                start, arguments, size, parts = end, 0, 0, [b""]
            parts.append(packed)
            arguments, size = arguments + count, size + len(packed)
        yield start, len(self._messages), self._command(arguments, parts)

    def _command(self, arguments: int, parts: list[bytes]) -> bytes:
        head = [b"EVAL", PUT.encode(), b"%d" % len(self._keys), *self._keys, b"%d" % self._lanes]
        parts[0] = b"*%d\r\n" % (len(head) + arguments)
        parts[0] += b"".join([b"$%d\r\n%s\r\n" % (len(part), part) for part in head])
        return b"".join(parts)

    def _make_room(self, size: int) -> None:
        while self._under_way and (
            len(self._under_way) >= MOST_UNDER_WAY or self._bytes + size > MOST_BYTES_UNDER_WAY
        ):
            self._hear()

    def _send(self, start: int, end: int, packed: bytes) -> None:
        left = self._left()
        self._under_way.append((start, end, len(packed)))
        self._bytes += len(packed)
        self._unknown = True  # a send that fails may still have got through
        self._wire.send(packed, within=left)

    def _hear(self) -> None:
        """The answer to the oldest chunk under way."""
        start, end, size = self._under_way[0]
        try:
            self._wire.read(within=self._left())
        except TickrelayError as error:
            if not self._wire.is_open:
                raise
            self._refusal = self._refusal or error
        else:
            self._confirmed.append((start, end))
        self._under_way.popleft()
        self._bytes -= size
        self._unknown = bool(self._under_way)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise BrokerUnavailable("the deadline of this publish has passed")
        return left

    def _outcome(self, refusal: TickrelayError) -> TickrelayError:
        if not self._confirmed and not self._unknown:
            return refusal
        known = {number for start, end in self._confirmed for number in range(start, end)}
        ids = [message.id for number, message in enumerate(self._messages) if number not in known]
        error = PublishUnconfirmed(f"{len(known):,} messages confirmed, {len(ids):,} not: {refusal}", ids)
        error.__cause__ = refusal
        return error
