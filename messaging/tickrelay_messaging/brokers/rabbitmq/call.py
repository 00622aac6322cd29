# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One call of `publish` on its way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tickrelay_messaging.errors import BrokerRefused, MessageTooLarge, TickrelayError, UnknownQueue
from tickrelay_messaging.message import Message

CHUNK = 128
"""Most messages that are handed over at once."""
CHUNK_COST = 512
_BYTES = 12
"""A body counts once more for every two to the power of this many bytes."""


def cost(message: Message) -> int:
    """What a message takes of the window."""
    return 1 + (len(message.body) >> _BYTES)


def chunks(messages: Sequence[Message]) -> Iterator[tuple[int, int, int]]:
    """Start, end and cost of each chunk; all but one message of a chunk fit into its bound."""
    start = total = 0
    for end, message in enumerate(messages):
        one = cost(message)
        if end - start >= CHUNK or (total and total + one > CHUNK_COST):
            yield start, end, total
            start, total = end, 0
        total += one
    if start < len(messages):
        yield start, len(messages), total


class Route(NamedTuple):
    """Where messages go: an exchange, and how many lanes lie behind it; 0 means that keys don't matter."""

    exchange: str
    lanes: int


class Call:
    """
    Attributes:
        number: tells it from the connection's other calls.
        sent: messages handed to the connection.
        error: why there is nothing more to wait for.
        abandoned: its deadline is over; nothing more of it is sent.
        returned: indices of messages that no group took.
    """

    def __init__(self, number: int, route: Route, messages: Sequence[Message]) -> None:
        self.number = number
        self.route = route
        self.exchange = route.exchange
        self.messages = messages
        self.sent = 0
        self.error: TickrelayError | None = None
        self.abandoned = False
        self.returned: set[int] = set()
        self._left = len(messages)
        self._good = bytearray(len(messages))
        self._refused = 0

    @property
    def over(self) -> bool:
        """Nothing more to wait for."""
        return not self._left or self.error is not None

    def settle(self, index: int, *, good: bool) -> None:
        """The broker has answered for one message."""
        self._left -= 1
        if good:
            self._good[index] = index not in self.returned
        else:
            self._refused += 1

    def unconfirmed(self) -> list[str]:
        """Ids of the messages the broker didn't take, in order."""
        if self._good.find(0) < 0:
            return []
        return [message.id for message, good in zip(self.messages, self._good, strict=True) if not good]

    def refusal(self) -> TickrelayError | None:
        """An error that says alone that nothing of this call was taken: no such exchange, no right, too large."""
        error = self.error
        about_us = isinstance(error, (UnknownQueue, BrokerRefused)) and f"'{self.exchange}'" in str(error)
        if about_us or (isinstance(error, MessageTooLarge) and len(self.messages) == 1):
            return error
        return None

    def reason(self) -> str:
        """Why some aren't confirmed; empty if they are only late."""
        if self.error is not None:
            return str(self.error)
        if self.returned:
            return f"no group takes the messages of {self.exchange}; declare it with its groups"
        return "the broker refused them (nack)" if self._refused else ""
