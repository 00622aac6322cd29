# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about dead letters, the mailbox and history."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    DeadFilter,
    Failure,
    Outcome,
    Owner,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing.ledger_case import FAILURE, Clock, LedgerCase, ids, make, outcomes, some

EVERY = DeadFilter()


def anything(_: Message) -> bool:
    """A sensor that isn't choosy."""
    return True


def delivery(route: Route, message: Message, position: str = "1") -> Delivery:
    """As a broker hands it over."""
    return Delivery(route.queue, route.group, position, encode(message), message.body)


def broken(route: Route, position: str = "1") -> Delivery:
    """A delivery that nobody can decode."""
    return Delivery(route.queue, route.group, position, {"x": "ä"}, b"\xff\x00")


class RoomsContract(LedgerCase):
    """`dead_letters`, `bury`, `mailbox` and `history`."""

    def test_dead_letters_are_listed_in_pages(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Oldest first, without body and stack, continuing behind a number."""
        for name in ("a", "b", "c"):
            self.bury_one(ledger, owner, route, name)
        first = ledger.dead_letters.list(EVERY, limit=2)
        rest = ledger.dead_letters.list(EVERY, after=first[-1].number)
        assert ["a", "b", "c"] == [letter.message_id for letter in (*first, *rest)]
        assert {(b"", "failed", "ValueError: no such customer", 1, route)} == {
            (letter.body, letter.reason, letter.error, letter.attempts, letter.route) for letter in first
        }

    def test_dead_letters_are_filtered(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """All given conditions hold."""
        for name in ("a", "b"):
            self.bury_one(ledger, owner, route, name)
        numbers = tuple(letter.number for letter in ledger.dead_letters.list(EVERY))
        matching = {
            DeadFilter(message_id="a"): 1,
            DeadFilter(numbers=numbers): 2,
            DeadFilter(numbers=numbers[:1], message_id="b"): 0,
            DeadFilter(queue=route.queue, group=route.group, handler=route.handler): 2,
            DeadFilter(handler="other"): 0,
            DeadFilter(error="ValueError"): 2,
            DeadFilter(error="such cust"): 2,
            DeadFilter(error="%"): 0,
        }
        assert matching == {where: ledger.dead_letters.count(where) for where in matching}

    def test_dead_letters_are_grouped(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """By what they died of, the largest group first, with the newest's text; a kind is matched as a whole."""
        for name in ("a", "b", "c"):
            kind = "KeyError" if name == "a" else "ValueError"
            claim = self.claim_one(ledger, owner, route, name)
            ledger.settle(owner, [Settlement(claim, Verdict.DEAD, failure=Failure(kind, f"of {name}"))])
            clock.advance(1)
        large, small = ledger.dead_letters.groups(EVERY)
        assert (route, "failed", "ValueError", 2) == (large.route, large.reason, large.kind, large.count)
        assert (clock.now - 2, clock.now - 1, "of c") == (large.oldest, large.newest, large.example)
        assert ("KeyError", 1, "of a") == (small.kind, small.count, small.example)
        assert [small] == ledger.dead_letters.groups(DeadFilter(kind="KeyError"))
        kinds = [ledger.dead_letters.count(DeadFilter(kind=kind)) for kind in ("ValueError", "Value")]
        assert [2, 0] == kinds

    def test_show_tells_everything(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Body, headers and stack are kept; what isn't there is None."""
        self.bury_one(ledger, owner, route, make("m", {"n": 1}))
        (listed,) = ledger.dead_letters.list(EVERY)
        shown = ledger.dead_letters.show(listed.number)
        assert shown is not None
        assert (b'{"n":1}', "m", FAILURE.stack) == (shown.body, shown.headers["ce_id"], shown.stack)
        assert ledger.dead_letters.show(listed.number + 1) is None

    def test_replay_counts_anew(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """The handler gets it again as on the first day, once however often it is replayed."""
        claim = self.claim_one(ledger, owner, route, make("m", {"n": 1}))
        ledger.settle(owner, [Settlement(claim, Verdict.RETRY, clock.now)])
        (claim,) = ledger.claim_due(owner, route, 1)
        self.end(ledger, owner, [claim], Verdict.DEAD)
        assert [1, 0] == [ledger.dead_letters.replay(EVERY, by="me") for _ in range(2)]
        (again,) = ledger.claim_due(owner, route, 10)
        assert (1, False, {"n": 1}) == (again.attempt, again.suspect, again.message.data)
        assert again.fence > claim.fence
        self.end(ledger, owner, [again])
        stats = self.stats(ledger, route)
        assert (1, 1, 0) == (stats.done, stats.died, stats.dead)

    def test_what_dies_again_is_a_new_dead_letter(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A later number, so that paging finds it."""
        self.bury_one(ledger, owner, route, "m")
        (old,) = ledger.dead_letters.list(EVERY)
        ledger.dead_letters.replay(EVERY, by="me")
        self.end(ledger, owner, ledger.claim_due(owner, route, 1), Verdict.DEAD)
        assert ["m"] == [letter.message_id for letter in ledger.dead_letters.list(EVERY, after=old.number)]
        assert ledger.dead_letters.show(old.number) is None

    def test_hundreds_are_replayed_at_once(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Every match, however many; what doesn't match stays."""
        self.end(ledger, owner, ledger.claim(owner, route, some(1_100)), Verdict.DEAD)
        self.bury_one(ledger, owner, route, "stays")
        numbers = tuple(letter.number for letter in ledger.dead_letters.list(EVERY, limit=1_100))
        assert 1_100 == ledger.dead_letters.replay(DeadFilter(numbers=numbers), by="me")
        assert (1, 1_100) == (ledger.dead_letters.count(EVERY), self.stats(ledger, route).waiting)

    def test_discarded_is_remembered(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A duplicate doesn't bring it back, and its life says who gave it up and why."""
        self.bury_one(ledger, owner, route, "m")
        discards = [ledger.dead_letters.discard(EVERY, by="ann", reason="obsolete") for _ in range(2)]
        assert [1, 0] == discards
        assert Outcome.DUPLICATE == self.claim_one(ledger, owner, route, "m").outcome
        (life,) = ledger.history.life("m")
        told = " ".join(f"{event.what} {event.detail}" for event in life.events)
        assert (State.DISCARDED, True, True) == (life.state, "ann" in told, "obsolete" in told)

    def test_undecodable_deliveries_are_kept(self, ledger: Ledger, route: Route) -> None:
        """Byte for byte, once for each place on the queue, even if it comes twice."""
        for _ in range(2):
            ledger.bury(route, [broken(route), broken(route), broken(route, "2")], FAILURE)
        letters = ledger.dead_letters.list(EVERY)
        assert ["undecodable"] * 2 == [letter.reason for letter in letters]
        shown = ledger.dead_letters.show(letters[0].number)
        assert (b"\xff\x00", {"x": "ä"}) == ((shown.body, shown.headers) if shown else None)

    def test_a_replayed_undecodable_blocks_nobody(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """It goes back to the dead letters, and what was due beside it runs."""
        ledger.bury(route, [broken(route)], FAILURE)
        self.bury_one(ledger, owner, route, "good")
        assert 2 == ledger.dead_letters.replay(EVERY, by="me")
        assert ["good"] == ids(ledger.claim_due(owner, route, 10))
        (letter,) = ledger.dead_letters.list(EVERY)
        shown = ledger.dead_letters.show(letter.number)
        assert ("undecodable", b"\xff\x00") == (letter.reason, shown.body if shown else b"")
        assert 1 == ledger.dead_letters.discard(EVERY, by="me", reason="rubbish")

    def test_mail_is_taken_once(self, ledger: Ledger, route: Route) -> None:
        """The oldest that matches; each taker keeps its own, and nobody gets another's."""
        put, take = ledger.mailbox.put, ledger.mailbox.take
        for _ in range(2):
            put(route.queue, "g", [delivery(route, message, message.id) for message in some(3)])
        picky = take(route.queue, "g", "picky", lambda message: message.id == "m1")
        first = take(route.queue, "g", "first", anything)
        assert ("m1", "m0") == (picky.message.id if picky else "", first.message.id if first else "")
        assert [picky, first] == [take(route.queue, "g", taker, anything) for taker in ("picky", "first")]
        assert take(route.queue, "g", "choosy", lambda _: False) is None
        assert take(route.queue, "elsewhere", "third", anything) is None
        assert take(route.queue, "g", "third", anything) is not None
        assert take(route.queue, "g", "fourth", anything) is None

    def test_unreadable_mail_blocks_nobody(self, ledger: Ledger, route: Route) -> None:
        """It fits no sensor, and what came behind it is taken."""
        ledger.mailbox.put(route.queue, "g", [broken(route), delivery(route, make("m"), "2")])
        mail = ledger.mailbox.take(route.queue, "g", "sensor", anything)
        assert "m" == (mail.message.id if mail else "")

    def test_takers_compete(self, ledger: Ledger, route: Route) -> None:
        """However many ask at once: one message each, and one taker's two processes get the same."""
        ledger.mailbox.put(route.queue, "g", [delivery(route, message, message.id) for message in some(30)])
        takers = [f"taker-{number % 20}" for number in range(60)]
        with ThreadPoolExecutor(12) as pool:
            mails = list(
                pool.map(lambda taker: ledger.mailbox.take(route.queue, "g", taker, anything), takers)
            )
        got = {(taker, mail.number) for taker, mail in zip(takers, mails, strict=True) if mail}
        assert (20, 20) == (len(got), len({number for _, number in got}))

    def test_a_life_is_told(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """Every handler's story of a message, events oldest first; nothing of one nobody has seen."""
        message = make("m", batch="b/1")
        claim = self.claim_one(ledger, owner, route, message)
        (living,) = ledger.history.life("m")
        assert (State.CLAIMED, 0, "b/1") == (living.state, living.number, living.batch)
        clock.advance(1)
        ledger.settle(owner, [Settlement(claim, Verdict.RETRY, clock.now + 1, FAILURE)])
        clock.advance(1)
        self.end(ledger, owner, ledger.claim_due(owner, route, 1))
        (life,) = ledger.history.life("m")
        assert (State.DONE, 2, message.source, route) == (life.state, life.attempts, life.source, route)
        whats = [event.what for event in life.events if event.what != "published"]
        assert ["failed", "claimed", "done"] == whats
        assert [] == ledger.history.life("never")

    def test_lives_of_a_batch(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Of every try: the open ones first, then the ended in their order, continuing behind a number."""
        claims = ledger.claim(
            owner, route, [*some(3, "b_/1"), make("x", batch="b_/2"), make("y", batch="bX/1")]
        )
        for claim in (claims[2], claims[0], claims[3], claims[4]):
            self.end(ledger, owner, [claim])
        lives = ledger.history.lives("b_")
        assert ["m1", "m2", "m0", "x"] == [life.message_id for life in lives]
        assert ["x"] == [life.message_id for life in ledger.history.lives("b_", after=lives[2].number)]
        assert ["x"] == [life.message_id for life in ledger.history.lives("b_/2")]

    def test_stats_tell_now_and_ever(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """What is there is counted by state, what happened since the beginning."""
        claims = ledger.claim(owner, route, some(5))
        self.end(ledger, owner, claims[:2])
        ledger.settle(owner, [Settlement(claims[2], Verdict.RETRY, clock.now + 7, FAILURE)])
        self.end(ledger, owner, claims[3:4], Verdict.DEAD)
        assert [Outcome.DUPLICATE] * 2 == outcomes(ledger.claim(owner, route, some(2)))
        stats = self.stats(ledger, route)
        assert (1, 1, 1, clock.now + 7) == (stats.claimed, stats.waiting, stats.dead, stats.oldest_waiting)
        assert (2, 1, 1, 2, 0) == (stats.done, stats.retried, stats.died, stats.duplicates, stats.crashes)

    def test_consumers_are_listed(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """With their claims, and whether they are alive."""
        ledger.claim(owner, route, some(3))
        (record,) = ledger.history.consumers()
        assert (owner, True, 3, clock.now) == (record.owner, record.alive, record.claims, record.seen_at)
        clock.advance(owner.lease + 1)
        assert [False] == [record.alive for record in ledger.history.consumers()]
