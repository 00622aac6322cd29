# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What a sensor can wait for.

A condition is plain data, so that it travels to the triggerer, with one check that the worker and the
triggerer share. A check blocks for a query or two; it never runs on an event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tickrelay_airflow.waiting.matching import Match, matcher
from tickrelay_messaging.errors import ConfigurationError, UnknownQueue
from tickrelay_messaging.ledger.mailbox import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tickrelay_messaging.brokers.base import Broker, GroupStats
    from tickrelay_messaging.ledger.base import Ledger
    from tickrelay_messaging.ledger.records import Mail
    from tickrelay_messaging.ledger.reports import BatchProgress, RouteStats

Outcome = dict[str, Any]
"""What a fulfilled condition says about it, as JSON."""


@dataclass
class Condition(ABC):
    """
    Something to wait for.

    Attributes:
        until: its name, as in `QueueSensor(until=...)`.
    """

    until: ClassVar[str]
    queue: str
    group: str

    @property
    def receives(self) -> bool:
        """Whether messages have to be received from the group while anybody waits for it."""
        return False

    @abstractmethod
    def check(self, broker: Broker, ledger: Ledger | None) -> Outcome | None:
        """The outcome if it is fulfilled, else None; asking again changes nothing."""

    def glance(self, broker: Broker, ledger: Ledger | None) -> Outcome | None:
        """The same, but it may miss what takes long to find: for who goes on to wait in the triggerer."""
        return self.check(broker, ledger)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON, for `condition_of`."""
        plain = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        return {"until": self.until, **plain}


@dataclass
class Settled(Condition):
    """
    Every message of some batches has come to its end in the group.

    Attributes:
        batches: batch id -> distinct messages in it if known from the publisher, else None.
    """

    until: ClassVar[str] = "settled"
    batches: dict[str, int | None]
    _open: set[str] | None = field(default=None, repr=False, compare=False)

    def check(self, broker: Broker, ledger: Ledger | None) -> Outcome | None:  # noqa: ARG002 - the ledger knows
        """Counts by handler, once every batch is settled."""
        ledger = _required(ledger, "waiting until messages are settled")
        # What has ended once is asked about again only at the very end: a thousand mapped batches cost
        # little.
        waiting = self.batches.keys() if self._open is None else self._open
        self._open = {batch for batch in waiting if self._rows(ledger, batch) is None}
        if self._open:
            return None
        rows = {batch: self._rows(ledger, batch) for batch in self.batches}
        if any(row is None for row in rows.values()):
            self._open = None
            return None
        return self._outcome([row for batch_rows in rows.values() for row in batch_rows or []])

    def _rows(self, ledger: Ledger, batch: str) -> list[BatchProgress] | None:
        """A batch's progress by handler if it is settled. Nobody has seen it: settled only if it is empty."""
        rows = ledger.batches.progress(batch, self.group)
        if not rows:
            return [] if self.batches[batch] == 0 else None
        return rows if all(row.settled for row in rows) else None

    def _outcome(self, rows: Sequence[BatchProgress]) -> Outcome:
        handlers: dict[str, Counter[str]] = {}
        for row in rows:
            counts = {"messages": row.count or 0, **row.ends}
            handlers.setdefault(row.route.handler, Counter()).update(counts)
        return {
            "queue": self.queue,
            "group": self.group,
            "batches": len(self.batches),
            "handlers": {handler: dict(counts) for handler, counts in handlers.items()},
        }


@dataclass
class Drained(Condition):
    """Nothing is left to do for the group: neither at the broker nor, where there is a ledger, parked in it."""

    until: ClassVar[str] = "drained"

    def check(self, broker: Broker, ledger: Ledger | None) -> Outcome | None:
        """
        An outcome without news, once nothing is left.

        Raises:
            UnknownQueue: the queue has no such group.
        """
        # The broker first: what it has been told to forget is in the ledger by then, so nothing slips
        # between.
        # Where the broker can't tell what is in flight, it counts as ready until it's acknowledged (Kafka's lag), or is
        # seen by nobody (RabbitMQ without its management API): then a message in hand shows in the ledger only.
        at_broker = self._group(broker.stats(self.queue))
        if at_broker.ready or at_broker.in_flight:
            return None
        routes = ledger.history.stats() if ledger is not None else []
        if any(self._left(row) for row in routes):
            return None
        return {"queue": self.queue, "group": self.group}

    def _group(self, rows: Sequence[GroupStats]) -> GroupStats:
        for row in rows:
            if row.group == self.group:
                return row
        raise UnknownQueue(
            f"queue {self.queue!r} has no group {self.group!r}, only {[row.group for row in rows]}"
        )

    def _left(self, row: RouteStats) -> bool:
        mine = row.route.queue == self.queue and row.route.group == self.group
        return mine and bool(row.claimed or row.waiting)


@dataclass
class Arrived(Condition):
    """
    A message that matches is there, and it is given to this taker.

    Attributes:
        taker: who asks; asking again gives the same message.
        match: see `matching.matcher`.
        consume: whether it is taken; otherwise it is only seen, and others see it, too.
        since: what is only seen must have been received at this instant or later, in Unix seconds.
    """

    until: ClassVar[str] = "message"
    taker: str
    match: Match = None
    consume: bool = True
    since: float = 0.0

    @property
    def receives(self) -> bool:
        """Messages come from the broker into the ledger's mailbox, from where they are given out."""
        return True

    def check(self, broker: Broker, ledger: Ledger | None) -> Outcome | None:  # noqa: ARG002 - the mailbox knows
        """Ids only: the message itself stays in the mailbox for the taker to read."""
        return _found(self.mail(_required(ledger, "waiting for a message")))

    def glance(self, broker: Broker, ledger: Ledger | None) -> Outcome | None:  # noqa: ARG002
        """What it has taken before, or a fitting one among the oldest."""
        return _found(self.mail(_required(ledger, "waiting for a message"), most=PAGE))

    def mail(self, ledger: Ledger, *, most: int | None = None) -> Mail | None:
        """
        The message, taken by now unless it shall only be seen.

        Args:
            most: look at so much of what is free only.
        """
        wanted = matcher(self.match)
        if self.consume:
            return ledger.mailbox.take(self.queue, self.group, self.taker, wanted, most=most)
        return next((mail for mail in self._seen(ledger) if wanted(mail.message)), None)

    def _seen(self, ledger: Ledger) -> Iterator[Mail]:
        after = 0
        while page := ledger.mailbox.all(self.queue, self.group, since=self.since, after=after):
            yield from page
            after = page[-1].number


def _found(mail: Mail | None) -> Outcome | None:
    return None if mail is None else outcome_of(mail)


def outcome_of(mail: Mail) -> Outcome:
    """What is told of a message that has arrived."""
    return {"number": mail.number, "message_id": mail.message.id}


_KINDS: dict[str, type[Condition]] = {kind.until: kind for kind in (Settled, Drained, Arrived)}


def condition_of(plain: dict[str, Any]) -> Condition:
    """
    The condition that `Condition.as_dict` described.

    Raises:
        ConfigurationError: it is of a kind this version doesn't know.
    """
    arguments = dict(plain)
    kind = _KINDS.get(arguments.pop("until", ""))
    if kind is None:
        raise ConfigurationError(f"unknown condition {plain.get('until')!r}; known are {sorted(_KINDS)}")
    made: Condition = cast("Any", kind)(**arguments)
    return made


def _required(ledger: Ledger | None, purpose: str) -> Ledger:
    if ledger is None:
        raise ConfigurationError(f"{purpose} needs a ledger, and the connection names none")
    return ledger
