# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about the mailbox for many takers at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Mail, Route
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing.ledger_case import Clock, LedgerCase, make, some


def _put(ledger: Ledger, route: Route, *messages: Message) -> None:
    ledger.mailbox.put(
        route.queue,
        "g",
        [Delivery(route.queue, "g", one.id, encode(one), one.body) for one in messages],
    )


def _names(mails: list[Mail]) -> list[str]:
    return [mail.message.id for mail in mails]


class MailboxContract(LedgerCase):
    """`mailbox.free`, `all`, `held` and `give`."""

    def test_free_mail_is_read_in_pages(self, ledger: Ledger, route: Route) -> None:
        """Oldest first, continuing behind a number, past what can't be read; another group's isn't shown."""
        broken = [Delivery(route.queue, "g", str(number), {"x": "y"}, b"?") for number in range(3)]
        ledger.mailbox.put(route.queue, "g", broken)
        _put(ledger, route, *some(3))
        page = ledger.mailbox.free(route.queue, "g", limit=3)
        rest = ledger.mailbox.free(route.queue, "g", after=page[0].number, limit=3)
        assert (["m0", "m1", "m2"], ["m1", "m2"]) == (_names(page), _names(rest))
        assert [] == ledger.mailbox.free(route.queue, "g", after=rest[-1].number)
        assert [] == ledger.mailbox.free(route.queue, "other")

    def test_many_are_given_at_once(self, ledger: Ledger, route: Route) -> None:
        """Each taker holds one; what is taken isn't given again, and nobody is given a second."""
        _put(ledger, route, *some(4))
        a, b, c, d = (mail.number for mail in ledger.mailbox.free(route.queue, "g"))
        gifts = [(a, "ann"), (b, "bob"), (a, "cid"), (c, "ann"), (999, "eve")]
        given = [mail and mail.message.id for mail in ledger.mailbox.give(route.queue, "g", gifts)]
        assert ["m0", "m1", None, "m0", None] == given
        again = ledger.mailbox.give(route.queue, "g", [(d, "bob"), (d, "cid")])
        assert ["m1", "m3"] == [mail and mail.message.id for mail in again]
        assert ["m2"] == _names(ledger.mailbox.free(route.queue, "g"))
        held = ledger.mailbox.held(route.queue, "g", ["ann", "bob", "cid", "eve"])
        assert {"ann": "m0", "bob": "m1", "cid": "m3"} == {name: one.message.id for name, one in held.items()}
        assert [] == ledger.mailbox.give(route.queue, "g", [])
        assert {} == ledger.mailbox.held(route.queue, "g", [])

    def test_onlookers_see_all(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """Taken or not, from an instant on; looking takes nothing."""
        _put(ledger, route, make("old"))
        clock.advance(10)
        since = clock.now
        _put(ledger, route, make("taken"), make("free"))
        number = ledger.mailbox.free(route.queue, "g")[1].number
        (mine,) = ledger.mailbox.give(route.queue, "g", [(number, "x")])
        assert "taken" == (mine.message.id if mine else "")
        seen = ledger.mailbox.all(route.queue, "g", since=since)
        assert ["taken", "free"] == _names(seen)
        assert ["old", "taken", "free"] == _names(ledger.mailbox.all(route.queue, "g"))
        assert ["free"] == _names(ledger.mailbox.all(route.queue, "g", since=since, after=seen[0].number))
        assert ["old", "free"] == _names(ledger.mailbox.free(route.queue, "g"))

    def test_old_mail_is_forgotten(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """Taken or not, oldest first and in parts; what is younger stays, and who held some of it may take anew."""
        _put(ledger, route, *some(5))
        first = ledger.mailbox.take(route.queue, "g", "taker", lambda _: True)
        clock.advance(10)
        _put(ledger, route, make("young"))
        assert "m0" == (first.message.id if first else "")
        assert 0 == ledger.mailbox.forget(clock.now - 10)
        assert [3, 2, 0] == [ledger.mailbox.forget(clock.now, limit=3) for _ in range(3)]
        assert ["young"] == _names(ledger.mailbox.all(route.queue, "g"))
        assert {} == ledger.mailbox.held(route.queue, "g", ["taker"])
        _put(ledger, route, make("m0"))
        again = ledger.mailbox.take(route.queue, "g", "taker", lambda _: True)
        assert ("young", ["m0"]) == (
            again.message.id if again else "",
            _names(ledger.mailbox.free(route.queue, "g")),
        )

    def test_numbers_become_visible_in_order(self, ledger: Ledger, route: Route) -> None:
        """However many put at once: who continues behind the last number it saw misses nothing."""
        seen: list[str] = []
        over = threading.Event()

        def follow() -> None:
            after = 0
            while True:
                last = over.is_set()
                page = ledger.mailbox.free(route.queue, "g", after=after)
                seen.extend(_names(page))
                after = page[-1].number if page else after
                if last and not page:
                    return

        follower = threading.Thread(target=follow)
        follower.start()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: _put(ledger, route, make(f"n{number}")), range(60)))
        over.set()
        follower.join()
        assert {f"n{number}" for number in range(60)} == set(seen)
        assert 60 == len(seen)
