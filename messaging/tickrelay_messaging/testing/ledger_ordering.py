# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about the order of a key: `claim` under `ORDER` and `STRICT`, and what waits behind whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    Claim,
    DeadFilter,
    Due,
    KeyRule,
    Outcome,
    Owner,
    Route,
    Settlement,
    Verdict,
)
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing.ledger_case import (
    FAILURE,
    START,
    Clock,
    LedgerCase,
    ids,
    in_thread,
    make,
    outcomes,
)

RUN, PARKED = Outcome.RUN, Outcome.PARKED
ORDER, STRICT = KeyRule.ORDER, KeyRule.STRICT
EVERY = DeadFilter()
both_rules = pytest.mark.parametrize("rule", [ORDER, STRICT])


def keyed(message_id: str, key: str | None = "k", **attributes: Any) -> Message:
    """A message of a key."""
    return replace(make(message_id), key=key, **attributes)


def row(*names: str) -> list[Message]:
    """Messages of one key."""
    return [keyed(name) for name in names]


class OrderingContract(LedgerCase):
    """One message of a key after the other, whatever happens to the first."""

    @pytest.fixture
    def members(self, ledger: Ledger, owner: Owner, other: Owner) -> tuple[Ledger, Owner, Owner]:
        """A ledger and two consumers."""
        return ledger, owner, other

    def retry(self, ledger: Ledger, owner: Owner, claim: Claim, due: float) -> None:
        """It failed, and its turn comes again."""
        assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.RETRY, due, FAILURE)])

    def due_ids(self, ledger: Ledger, owner: Owner, route: Route) -> list[str]:
        """What there is to take now, beside others."""
        return ids(ledger.claim_due(owner, route, 10))

    def fail_first(
        self, ledger: Ledger, owner: Owner, claims: Sequence[Claim], verdict: Verdict, due: float = 0.0
    ) -> None:
        """The first comes to grief, so those behind it are given back, the last one first."""
        assert [True] == ledger.settle(owner, [Settlement(claims[0], verdict, due, FAILURE)])
        for claim in reversed(claims[1:]):
            self.end(ledger, owner, [claim], Verdict.RELEASE)

    @both_rules
    def test_one_owner_has_a_row_in_hand(
        self, ledger: Ledger, owner: Owner, other: Owner, route: Route, rule: KeyRule
    ) -> None:
        """Messages of a key run at one consumer; at another one they are parked behind, other keys run."""
        assert [RUN, RUN] == outcomes(ledger.claim(owner, route, row("a", "b"), rule=rule))
        assert [RUN] == outcomes(ledger.claim(owner, route, row("c"), rule=rule))
        messages = [keyed("d"), keyed("x", "elsewhere"), keyed("free", None)]
        assert [PARKED, RUN, RUN] == outcomes(ledger.claim(other, route, messages, rule=rule))
        assert [PARKED] == outcomes(ledger.claim(owner, route, row("e"), rule=rule))

    def test_keys_are_of_one_handler(self, ledger: Ledger, owner: Owner, other: Owner, route: Route) -> None:
        """Another handler and another group have an order of their own; no rule means no order."""
        ledger.claim(owner, route, row("a"), rule=ORDER)
        for elsewhere in (replace(route, handler="other"), replace(route, group="other")):
            assert [RUN] == outcomes(ledger.claim(other, elsewhere, row("b"), rule=ORDER))
        assert [RUN] == outcomes(ledger.claim(other, route, row("c")))

    @both_rules
    def test_followers_wait_for_the_first(
        self, ledger: Ledger, owner: Owner, other: Owner, route: Route, rule: KeyRule
    ) -> None:
        """What is parked behind isn't due until the one before is done; then it's given in order, in one call."""
        first = ledger.claim(owner, route, row("a"), rule=rule)
        ledger.claim(other, route, row("b", "c", "d"), rule=rule)
        assert Due() == ledger.due([route])
        assert [] == self.due_ids(ledger, other, route)
        self.end(ledger, owner, first)
        assert Due(START) == ledger.due([route])
        assert ["b", "c"] == ids(ledger.claim_due(other, route, 2))
        assert [] == self.due_ids(ledger, owner, route)
        assert Due() == ledger.due([route])

    @both_rules
    def test_a_retry_holds_the_others_up(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route, rule: KeyRule
    ) -> None:
        """Those released behind the failed one keep their places, whether the broker brings them again or not."""
        claims = ledger.claim(owner, route, row("a", "b", "c"), rule=rule)
        self.fail_first(ledger, owner, claims, Verdict.RETRY, START + 5)
        assert [PARKED] * 3 == outcomes(ledger.claim(owner, route, row("d", "c", "b"), rule=rule))
        assert ([], Due(START + 5)) == (self.due_ids(ledger, owner, route), ledger.due([route]))
        clock.advance(5)
        assert ["a", "b", "c", "d"] == self.due_ids(ledger, owner, route)

    def test_a_dead_one_is_stepped_over(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Under ORDER its followers go on; replayed, it goes before those that nobody has begun."""
        claims = ledger.claim(owner, route, row("a", "b"), rule=ORDER)
        self.fail_first(ledger, owner, claims, Verdict.DEAD)
        (second,) = ledger.claim_due(owner, route, 10)
        assert ("b", RUN) == (second.message.id, self.claim_ordered(ledger, owner, route, ORDER))
        assert 1 == ledger.dead_letters.replay(EVERY, by="me")
        assert ["a"] == self.due_ids(ledger, owner, route)

    def claim_ordered(self, ledger: Ledger, owner: Owner, route: Route, rule: KeyRule) -> Outcome:
        """What another one of the key is answered."""
        (claim,) = ledger.claim(owner, route, row("next"), rule=rule)
        return claim.outcome

    def test_a_dead_one_holds_up_under_strict(
        self, ledger: Ledger, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Until it's replayed and done: it comes first, its followers behind it."""
        claims = ledger.claim(owner, route, row("a", "b"), rule=STRICT)
        self.fail_first(ledger, owner, claims, Verdict.DEAD)
        assert PARKED == self.claim_ordered(ledger, other, route, STRICT)
        assert ([], Due()) == (self.due_ids(ledger, owner, route), ledger.due([route]))
        assert 1 == ledger.dead_letters.replay(EVERY, by="me")
        assert ["a", "b", "next"] == self.due_ids(ledger, owner, route)

    def test_discarding_lets_followers_go(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Under STRICT, and whoever waits for work is told."""
        claims = ledger.claim(owner, route, row("a", "b"), rule=STRICT)
        self.fail_first(ledger, owner, claims, Verdict.DEAD)
        assert [] == self.due_ids(ledger, owner, route)
        assert 1 == ledger.dead_letters.discard(EVERY, by="me", reason="obsolete")
        assert ["b"] == self.due_ids(ledger, owner, route)

    @both_rules
    def test_the_order_outlives_its_owner(
        self, clock: Clock, route: Route, rule: KeyRule, members: tuple[Ledger, Owner, Owner]
    ) -> None:
        """Suspects of a key run alone in their order, and what was behind them comes after."""
        ledger, owner, other = members
        ledger.claim(owner, route, row("a", "b"), rule=rule)
        assert [PARKED] == outcomes(ledger.claim(other, route, row("c"), rule=rule))
        assert 2 == self.crash(ledger, clock, other)
        assert Due() == ledger.due([route]), "what the dead one had in hand is still at the broker"
        assert [PARKED, PARKED] == outcomes(ledger.claim(other, route, row("b", "a"), rule=rule))
        for name in ("a", "b"):
            assert (Due(None, 1), []) == (ledger.due([route]), self.due_ids(ledger, other, route))
            (suspect,) = ledger.claim_due(other, route, 10, suspects=True)
            assert name == suspect.message.id
            assert [] == ledger.claim_due(other, route, 10, suspects=True)
            self.end(ledger, other, [suspect])
        assert ["c"] == self.due_ids(ledger, other, route)

    @both_rules
    def test_the_order_outlives_a_retirement(
        self, ledger: Ledger, owner: Owner, other: Owner, route: Route, rule: KeyRule
    ) -> None:
        """What a leaving consumer had in hand keeps its place, in whatever order the broker brings it again."""
        ledger.claim(owner, route, row("a", "b"), rule=rule)
        ledger.retire(owner)
        assert PARKED == self.claim_ordered(ledger, other, route, rule)
        assert [PARKED, PARKED] == outcomes(ledger.claim(other, route, row("b", "a"), rule=rule))
        assert ["a", "b", "next"] == self.due_ids(ledger, other, route)

    def test_an_expired_one_lets_followers_go(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """It comes to its end when it's due, and what was behind it runs."""
        first = keyed("a", expires=datetime.fromtimestamp(START + 5, UTC))
        claims = ledger.claim(owner, route, [first, keyed("b")], rule=STRICT)
        self.fail_first(ledger, owner, claims, Verdict.RETRY, START + 10)
        clock.advance(10)
        taken = self.due_ids(ledger, owner, route) + self.due_ids(ledger, owner, route)
        assert ["b"] == taken

    @both_rules
    def test_messages_for_later_take_their_place_when_due(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route, rule: KeyRule
    ) -> None:
        """Until then they hold nobody up; from then on they are before what comes later."""
        later = keyed("later", deliver_at=datetime.fromtimestamp(START + 60, UTC))
        claims = ledger.claim(owner, route, [later, keyed("a")], rule=rule)
        assert [PARKED, RUN] == outcomes(claims)
        self.end(ledger, owner, claims[1:])
        clock.advance(61)
        ledger.renew(owner)
        assert [PARKED] == outcomes(ledger.claim(owner, route, row("b"), rule=rule))
        assert ["later", "b"] == self.due_ids(ledger, owner, route)

    def test_who_waits_is_told(self, ledger: Ledger, owner: Owner, other: Owner, route: Route) -> None:
        """When the first comes to its end, a consumer that waits for work hears of it."""
        first = ledger.claim(owner, route, row("a"), rule=ORDER)
        ledger.claim(other, route, row("b"), rule=ORDER)
        while ledger.wait_for_work(other, 0.2):
            pass
        thread = in_thread(lambda: self.end(ledger, owner, first))
        assert ledger.wait_for_work(other, self.patience)
        thread.join(self.patience)

    def test_a_row_taken_together_may_fail_together(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """Given in order in one call, and given back in any: the order stays."""
        claims = ledger.claim(owner, route, row("a", "b", "c"), rule=ORDER)
        self.fail_first(ledger, owner, claims, Verdict.RETRY, START + 1)
        for _ in range(3):
            clock.advance(1)
            again = ledger.claim_due(owner, route, 10)
            assert ["a", "b", "c"] == ids(again)
            self.fail_first(ledger, owner, again, Verdict.RETRY, clock.now + 1)
