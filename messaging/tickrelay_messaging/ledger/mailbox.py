# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The ledger's room for sensors: messages that have left the broker and wait for a taker.

Its verbs take batches, so that one asker can serve any number of takers: `free` shows what is new, `give` hands many
out in one round trip, and `held` says what takers were given before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.ledger.records import Mail
from tickrelay_messaging.message import Message

PAGE = 256
"""How much mail is read at once."""


class Mailbox(ABC):
    """
    Messages kept for sensors: each is given to one taker, and a taker that asks again gets the same one.

    Numbers grow in the order in which mail becomes visible, so that nothing new is ever behind a number seen before.
    Mail that can't be decoded is shown to nobody; it stays to be looked at.
    """

    @abstractmethod
    def put(self, queue: str, group: str, deliveries: Sequence[Delivery]) -> None:
        """Keep them durably; one that is known (source and id) is dropped. Then the broker may forget them."""

    @abstractmethod
    def free(self, queue: str, group: str, *, after: int = 0, limit: int = PAGE) -> list[Mail]:
        """Mail behind a number that nobody has taken, oldest first; empty only where there is no more."""

    @abstractmethod
    def all(
        self, queue: str, group: str, *, since: float = 0.0, after: int = 0, limit: int = PAGE
    ) -> list[Mail]:
        """
        Mail behind a number, taken or not, for those who only look on; oldest first, empty only where there is no more.

        Args:
            since: received at this instant or later, in Unix seconds by the ledger's clock.
        """

    @abstractmethod
    def held(self, queue: str, group: str, takers: Sequence[str]) -> dict[str, Mail]:
        """What these takers were given, by taker."""

    @abstractmethod
    def give(self, queue: str, group: str, gifts: Sequence[tuple[int, str]]) -> list[Mail | None]:
        """
        Give mail (by number) to takers, all in one durable round trip.

        Returns:
            what each taker holds now: what it had before if anything, else this, or None where another was quicker.
        """

    @abstractmethod
    def forget(self, before: float, *, limit: int = PAGE) -> int:
        """
        Drop mail of all queues, oldest first, taken or not.

        Args:
            before: received before this instant, in Unix seconds by the ledger's clock. A taker that comes back later
                is given another message, and a message that comes again is new: keep it for longer than either takes.
            limit: at most about so many.

        Returns:
            how many were dropped; 0 where there are no more.
        """

    def take(
        self,
        queue: str,
        group: str,
        taker: str,
        match: Callable[[Message], bool],
        *,
        most: int | None = None,
    ) -> Mail | None:
        """
        The taker's message: what it took before, else the oldest free one that matches, else None.

        Args:
            most: look at so much free mail only.
        """
        if mine := self.held(queue, group, [taker]):
            return mine[taker]
        for mail in islice(self._pages(queue, group), most):
            if match(mail.message):
                (held,) = self.give(queue, group, [(mail.number, taker)])
                if held is not None:
                    return held
        return None

    def _pages(self, queue: str, group: str) -> Iterator[Mail]:
        after = 0
        while page := self.free(queue, group, after=after):
            yield from page
            after = page[-1].number
