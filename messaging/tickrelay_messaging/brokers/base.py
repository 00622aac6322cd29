# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The broker seam: what a queue must do, and nothing else.

A broker moves messages. It keeps no retries, delays, dead letters or leases: whatever can't be done now is parked in
the ledger and then acknowledged. So a new broker is two small classes, `Broker` and `Subscription`, some fifteen
methods in all; the contract suite in `tickrelay_messaging.testing` says whether they keep their word.

A *queue* has *groups*. Consumers in one group compete for its messages; every group gets every message published after
it was declared. A work queue is a queue with one group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.message import Message

DEFAULT_GROUP = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a broker can do beyond the obligations; read by tests, commands and pages alike."""

    durable: bool
    """Confirmed messages survive the death of every process."""
    shared: bool
    """Several processes may use one queue."""
    peek: bool
    """`peek` shows messages without taking them."""
    replay: bool
    """Acknowledged messages are kept for a while, and `replay` reads them again."""
    exact_stats: bool
    """`stats` counts; it doesn't estimate."""
    max_body: int
    """Largest body in bytes."""
    marks_redelivery: bool = True
    """`redelivered` is set on everything that another consumer may have been handed before."""
    keeps_scattered_acks: bool = True
    """An acknowledgement counts for good, also of a message behind one that isn't acknowledged."""
    lanes: bool = False
    """Queues can have lanes: `QueueSpec.lanes`."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """
    A queue as it is declared.

    Attributes:
        name: letters, digits, `.`, `_`, `-`; at most 200 characters.
        groups: names of its groups, of the same letters.
        lanes: over how many lanes the messages are spread by key, 1 to 1,024. In each group a lane belongs to one
            subscription at a time, so the messages of a key are worked on in their order however many consumers there
            are. Settled when the queue is made; 0 leaves it to the broker (most then have none: any consumer gets any
            message), or to whoever declared the queue before. `queues` says how many there are.
    """

    name: str
    groups: tuple[str, ...] = (DEFAULT_GROUP,)
    lanes: int = 0


@dataclass(slots=True)
class Delivery:
    """
    One message as handed to one subscription, not yet acknowledged.

    Attributes:
        position: the broker's own name for its place (row, offset, stream id, delivery tag).
        headers: as they travelled; `envelope.decode(headers, body)` makes the message.
        redelivered: it may have been handed out before.
        token: whatever the subscription needs to acknowledge it; nobody else looks at it.
    """

    queue: str
    group: str
    position: str
    headers: Mapping[str, str]
    body: bytes
    redelivered: bool = False
    token: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStats:
    """
    One group of a queue at one moment.

    Attributes:
        ready: messages nobody has been handed yet.
        in_flight: handed out, not acknowledged; None where the broker can't tell these from `ready`.
        oldest_age: seconds since the oldest of both was published, or None if there is none.
        consumers: live subscriptions.
        published: messages ever published to the queue, or None if the broker doesn't count.
    """

    queue: str
    group: str
    ready: int
    in_flight: int | None
    oldest_age: float | None
    consumers: int
    published: int | None = None


@dataclass(frozen=True, slots=True)
class Peeked:
    """A message seen by `peek`; it stays where it is. `in_flight`: handed out to somebody right now."""

    position: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    published_at: float
    in_flight: bool = False


class Subscription(ABC):
    """
    One consumer's membership in a group. Safe to use from two threads: one that receives, one that acknowledges.

    A subscription that ends, by `close` or by the death of its process, gives back whatever it had not acknowledged;
    other subscriptions of the group then receive it, marked `redelivered`.
    """

    @abstractmethod
    def receive(self, limit: int, timeout: float | None = 0.0) -> list[Delivery]:
        """
        Up to `limit` messages, oldest first; returns as soon as there is one.

        Waiting costs no polling: a publisher's message ends it.

        Args:
            limit: most messages to take.
            timeout: longest wait in seconds; 0 doesn't wait, None waits for ever.

        Returns:
            An empty list after the timeout, after `wake`, and after `close`.

        Raises:
            BrokerUnavailable: the broker can't be reached; the next call tries again by itself.
        """

    @abstractmethod
    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """
        Never deliver these to this group again, in one round trip.

        What another subscription has been handed meanwhile stays unacknowledged: only the present owner can
        acknowledge. Acknowledging twice is no error.

        Raises:
            BrokerUnavailable: nothing is known about the acknowledgement; the messages may come again.
        """

    @abstractmethod
    def wake(self) -> None:
        """End a `receive` that waits in another thread, or the next one; from any thread or signal handler."""

    @abstractmethod
    def close(self) -> None:
        """Give back what wasn't acknowledged and leave the group. Closing twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Broker(ABC):
    """A connection to one broker. Thread-safe; usable after a fork, where it connects anew."""

    capabilities: Capabilities
    """Of this connection: a server's settings may decide them."""

    @abstractmethod
    def declare(self, spec: QueueSpec) -> None:
        """
        Make the queue and its groups exist. Declaring again adds groups that are new and changes nothing else.

        A group sees what is published after its declaration, and keeps it until acknowledged, consumers or none.

        Raises:
            ConfigurationError: a name isn't allowed, or this broker can't have lanes.
            QueueMismatch: the queue exists with another number of lanes, or other properties that can't be changed.
            BrokerRefused: this user may not.
        """

    @abstractmethod
    def queues(self) -> list[QueueSpec]:
        """Every declared queue with its groups, by name."""

    def check(self) -> None:
        """
        Reach the broker now, for people who ask whether it can be reached.

        Raises:
            BrokerUnavailable: it can't.
            BrokerRefused: it refuses this user, password or certificate, or its own certificate isn't trusted.
        """
        self.queues()

    @abstractmethod
    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """
        Put messages on a queue; returns when the broker has confirmed all of them durably.

        Args:
            queue: a declared queue.
            messages: any number; the order is kept for one publisher.
            timeout: hard deadline in seconds for the whole call.

        Raises:
            UnknownQueue: nothing was sent.
            BrokerRefused: this user may not publish here; nothing was sent.
            InvalidMessage: one of them can't be sent; nothing was sent.
            PublishUnconfirmed: names exactly the messages without a confirmation.
            BrokerUnavailable: nothing was sent.
            StorageFull: nothing was stored.
        """

    @abstractmethod
    def subscribe(self, queue: str, group: str = DEFAULT_GROUP) -> Subscription:
        """
        Join a group.

        Raises:
            UnknownQueue: the queue or group was never declared.
        """

    @abstractmethod
    def stats(self, queue: str) -> list[GroupStats]:
        """
        A row a group.

        Raises:
            UnknownQueue: the queue was never declared.
        """

    @abstractmethod
    def peek(self, queue: str, *, after: str | None = None, limit: int = 20) -> list[Peeked]:
        """
        Messages still on the queue, oldest first, without taking them.

        Args:
            after: the position to continue behind; None starts at the oldest.
        """

    @abstractmethod
    def purge(self, queue: str, group: str = DEFAULT_GROUP) -> int:
        """Drop what is ready in a group, not what is in flight; returns how many messages were dropped."""

    def replay(self, queue: str, group: str, *, since: float | None = None, after: str | None = None) -> None:
        """
        Declare a temporary group that begins among the messages still kept, acknowledged by others or not.

        It's a group like any other, with records of its own in the ledger, so that handlers run again;
        `forget` ends it. How long messages are kept is the broker's setting.

        Args:
            group: a name with a `~` in it, such as `default~r1`, which no ordinary group has.
            since: begin with the first message published at this instant or later, in seconds since 1970.
            after: begin behind this position. Give one of the two; without either it begins at the oldest message kept.

        Raises:
            ConfigurationError: this broker can't, or the arguments aren't allowed.
            UnknownQueue: the queue was never declared.
            QueueMismatch: the group exists.
        """
        raise ConfigurationError(
            f"queue {queue!r}, group {group!r}: {type(self).__name__} keeps no acknowledged messages to replay "
            f"(since={since}, after={after}); publish them again, or replay dead letters from the ledger"
        )

    @abstractmethod
    def forget(self, queue: str, group: str) -> None:
        """
        End a group, and drop what it has not acknowledged; without subscriptions of its own, or they end with it.

        Forgetting a group that doesn't exist is no error; a queue may be left without groups, and is then kept or not.

        Raises:
            UnknownQueue: the queue was never declared.
        """

    @abstractmethod
    def close(self) -> None:
        """Release connections. Closing twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
