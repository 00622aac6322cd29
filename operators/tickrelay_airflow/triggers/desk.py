# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Where messages of one queue and group are given out to all sensors that wait for them.

The mailbox is asked once for all of them: each message is looked at when it is new, and given, by one compare-and-set
in the ledger, to whoever has waited longest for such a one. Ten thousand waiting sensors cost no more questions than
one.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from tickrelay_airflow.triggers.wishes import Unwanted, Wishes, arrived
from tickrelay_airflow.waiting.conditions import outcome_of
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.mailbox import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tickrelay_airflow.triggers.waiter import Waiter
    from tickrelay_messaging.ledger.base import Ledger
    from tickrelay_messaging.ledger.mailbox import Mailbox
    from tickrelay_messaging.ledger.records import Mail

RECHECK = 60.0
"""Seconds after which all takers are asked about anew."""


class Desk:
    """Waiters join and leave from any thread; `serve` is one thread's."""

    def __init__(self, queue: str, group: str) -> None:
        self._place = (queue, group)
        self._present = 0
        self._moves: deque[tuple[Waiter, bool]] = deque()
        self._fresh: dict[Waiter, None] = {}
        self._takers = Wishes()
        self._unwanted = Unwanted()
        self._after = 0
        self._onlookers = Wishes()
        self._seen = 0
        self._since = 0.0
        self._doubted = time.monotonic()

    def join(self, waiter: Waiter) -> None:
        """It waits from now on."""
        self._present += 1
        self._moves.append((waiter, True))

    def leave(self, waiter: Waiter) -> int:
        """It waits no more; returns how many still do. Under the lock that `join` is called under."""
        self._present -= 1
        self._moves.append((waiter, False))
        return self._present

    def serve(self, ledger: Ledger | None) -> None:
        """
        Give out what there is.

        Raises:
            ServiceError: the ledger failed; serving again goes on where this has ended.
        """
        self._move()
        if ledger is None:
            self._refuse()
            return
        self._doubt_now_and_then()
        try:
            self._show(ledger.mailbox)
            self._give(ledger.mailbox)
        except BaseException:
            self._doubt()  # what was given and not told is held by its taker
            raise
        self._fresh.clear()

    def _refuse(self) -> None:
        for waiter in [*self._takers, *self._onlookers]:
            waiter.fail(
                ConfigurationError("waiting for a message needs a ledger, and the connection names none")
            )

    def _doubt_now_and_then(self) -> None:
        if time.monotonic() > self._doubted + RECHECK:
            self._doubt()

    def _doubt(self) -> None:
        """Ask for all takers anew what they hold: another process may have been given it in a taker's name."""
        self._doubted = time.monotonic()
        self._fresh.update(dict.fromkeys(self._takers))

    def _move(self) -> None:
        while self._moves:
            waiter, joins = self._moves.popleft()
            wishes = self._takers if arrived(waiter).consume else self._onlookers
            if joins:
                self._add(waiter, wishes)
            else:
                wishes.remove(waiter)
                self._fresh.pop(waiter, None)

    def _add(self, waiter: Waiter, wishes: Wishes) -> None:
        try:
            wishes.add(waiter)
        except Exception as error:  # noqa: BLE001 - one sensor's trouble isn't the others'
            waiter.fail(error)
        else:
            self._fresh[waiter] = None

    # Those who take.

    def _give(self, mailbox: Mailbox) -> None:
        fresh = [waiter for waiter in self._fresh if waiter in self._takers]
        fresh = self._return(mailbox, fresh)
        if any(shape not in self._unwanted for shape in self._takers.shapes):
            self._unwanted.begin(self._takers.shapes)
            self._after = 0
        for at in range(0, len(fresh), PAGE):
            self._search(mailbox, fresh[at : at + PAGE])
        if not len(self._takers):
            return
        while page := mailbox.free(*self._place, after=self._after):
            self._search(mailbox, self._hand_out(mailbox, page))
            self._after = page[-1].number

    def _return(self, mailbox: Mailbox, fresh: Sequence[Waiter]) -> list[Waiter]:
        """Who was given a message before is given the same; returns the others."""
        held = mailbox.held(*self._place, [arrived(waiter).taker for waiter in fresh])
        for waiter in fresh:
            if mail := held.get(arrived(waiter).taker):
                self._fulfil(self._takers, waiter, mail)
        return [waiter for waiter in fresh if waiter in self._takers]

    def _hand_out(self, mailbox: Mailbox, page: Iterable[Mail]) -> list[Waiter]:
        """New mail to whoever wants it; the rest is kept in mind. Returns who got none, as another was quicker."""
        pairs: dict[Waiter, Mail] = {}
        busy: set[Waiter] = set()
        for mail in page:
            if waiter := self._takers.first(mail.message, busy):
                pairs[waiter] = mail
                busy.add(waiter)
            else:
                self._unwanted.keep(mail)
        losers = []
        gifts = [(mail.number, arrived(waiter).taker) for waiter, mail in pairs.items()]
        for (waiter, offered), got in zip(pairs.items(), mailbox.give(*self._place, gifts), strict=True):
            if got is None:
                losers.append(waiter)
                continue
            self._fulfil(self._takers, waiter, got)
            if got.number != offered.number:
                self._unwanted.keep(offered)
        return losers

    def _search(self, mailbox: Mailbox, waiters: Sequence[Waiter]) -> None:
        """Mail that nobody had wanted, for those who have come since."""
        while waiters:
            pairs: dict[Waiter, int] = {}
            busy: set[int] = set()
            for waiter in waiters:
                number = self._unwanted.oldest(self._takers.wish_of(waiter), busy)
                if number is not None:
                    pairs[waiter] = number
                    busy.add(number)
            if not self._unwanted.is_complete:
                self._search_all(mailbox, [waiter for waiter in waiters if waiter not in pairs])
            waiters = self._give_old(mailbox, pairs)

    def _give_old(self, mailbox: Mailbox, pairs: dict[Waiter, int]) -> list[Waiter]:
        losers = []
        gifts = [(number, arrived(waiter).taker) for waiter, number in pairs.items()]
        for (waiter, number), mail in zip(pairs.items(), mailbox.give(*self._place, gifts), strict=True):
            if mail is None or mail.number == number:
                self._unwanted.forget(number)
            if mail is None:
                losers.append(waiter)
            else:
                self._fulfil(self._takers, waiter, mail)
        return losers

    def _search_all(self, mailbox: Mailbox, waiters: Iterable[Waiter]) -> None:
        """More free mail than can be kept in mind: each looks through all of it, once."""
        for waiter in waiters:
            wish = self._takers.wish_of(waiter)
            taker = arrived(waiter).taker
            if mail := mailbox.take(*self._place, taker, lambda m, w=wish: w.shape.values(m) == w.values):  # type: ignore[misc]
                self._fulfil(self._takers, waiter, mail)

    # Those who only look on.

    def _show(self, mailbox: Mailbox) -> None:
        if fresh := [waiter for waiter in self._fresh if waiter in self._onlookers]:
            self._since = _earliest(self._onlookers)
            self._look_back(mailbox, _earliest(fresh))
        for page in self._pages(mailbox, self._since, self._seen):
            self._show_each(page)
            self._seen = page[-1].number

    def _look_back(self, mailbox: Mailbox, since: float) -> None:
        """
        What was shown before, for who has just come; once more for the others, which does no harm. What is new is left
        to the look ahead, as the others may be waiting for what came before `since`.
        """
        for page in self._pages(mailbox, since, after=0):
            old = [mail for mail in page if mail.number <= self._seen]
            self._show_each(old)
            if len(old) < len(page):
                return

    def _show_each(self, mails: Iterable[Mail]) -> None:
        for mail in mails:
            wanting = self._onlookers.wanting(mail.message)
            for waiter in [one for one in wanting if arrived(one).since <= mail.received_at]:
                self._fulfil(self._onlookers, waiter, mail)

    def _pages(self, mailbox: Mailbox, since: float, after: int) -> Iterator[list[Mail]]:
        while len(self._onlookers) and (page := mailbox.all(*self._place, since=since, after=after)):
            yield page
            after = page[-1].number

    def _fulfil(self, wishes: Wishes, waiter: Waiter, mail: Mail) -> None:
        wishes.remove(waiter)
        waiter.fulfil(outcome_of(mail))


def _earliest(onlookers: Iterable[Waiter]) -> float:
    return min(arrived(waiter).since for waiter in onlookers)
