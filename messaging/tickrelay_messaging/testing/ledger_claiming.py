# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about claiming what was received, and taking what waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    DeadFilter,
    Due,
    KeyRule,
    Outcome,
    Owner,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.testing.ledger_case import START, Clock, LedgerCase, ids, make, outcomes, some

RUN, DUPLICATE, PARKED = Outcome.RUN, Outcome.DUPLICATE, Outcome.PARKED


class ClaimingContract(LedgerCase):
    """`claim`, `claim_due` and `due`."""

    def test_new_messages_run(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """What nobody knows is the claimer's, in the order asked, at its first attempt."""
        claims = ledger.claim(owner, route, some(3))
        assert [(RUN, f"m{n}", 1, False, False) for n in range(3)] == [
            (claim.outcome, claim.message.id, claim.attempt, claim.suspect, claim.held) for claim in claims
        ]
        assert [] == ledger.claim(owner, route, [])

    def test_ended_messages_are_duplicates(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Done, expired and discarded messages are never carried out again."""
        self.end(ledger, owner, ledger.claim(owner, route, [make("done")]))
        ledger.claim(owner, route, [replace(make("expired"), expires=datetime.fromtimestamp(START, UTC))])
        self.bury_one(ledger, owner, route, "discarded")
        ledger.dead_letters.discard(DeadFilter(message_id="discarded"), by="me", reason="test")
        again = ledger.claim(owner, route, [make(name) for name in ("done", "expired", "discarded")])
        assert [DUPLICATE] * 3 == outcomes(again)
        assert 3 == self.stats(ledger, route).duplicates

    def test_held_messages_are_parked(self, ledger: Ledger, owner: Owner, other: Owner, route: Route) -> None:
        """A message that waits or is dead in the ledger can be acknowledged, whoever brings it."""
        waiting = self.claim_one(ledger, owner, route, "waiting")
        ledger.settle(owner, [Settlement(waiting, Verdict.RETRY, START + 5)])
        self.bury_one(ledger, owner, route, "dead")
        assert [PARKED] * 2 == outcomes(ledger.claim(other, route, [make("waiting"), make("dead")]))

    def test_handlers_deduplicate_for_themselves(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """The same message runs once for each handler and group, and an id of another source is another message."""
        self.end(ledger, owner, ledger.claim(owner, route, some(1)))
        for elsewhere in (replace(route, handler="other"), replace(route, group="other")):
            assert [RUN] == outcomes(ledger.claim(owner, elsewhere, some(1)))
        assert [RUN] == outcomes(ledger.claim(owner, route, [replace(make("m0"), source="/elsewhere")]))

    def test_adopted_payload_outlives_its_owner(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """A message in a live consumer's hands is parked with it, and runs from the ledger when that one dies."""
        first = self.claim_one(ledger, owner, route, make("m", {"n": 1}))
        assert PARKED == self.claim_one(ledger, other, route, make("m", {"n": 1})).outcome
        assert 1 == self.crash(ledger, clock, other)
        (again,) = ledger.claim_due(other, route, 10, suspects=True)
        assert (RUN, {"n": 1}, True, True) == (again.outcome, again.message.data, again.held, again.suspect)
        assert again.fence > first.fence

    def test_adopted_and_finished(self, ledger: Ledger, owner: Owner, other: Owner, route: Route) -> None:
        """An adopted message whose owner finishes is done, and nothing of it waits."""
        first = self.claim_one(ledger, owner, route, "m")
        self.claim_one(ledger, other, route, "m")
        self.end(ledger, owner, [first])
        assert DUPLICATE == self.claim_one(ledger, other, route, "m").outcome
        assert Due() == ledger.due([route])

    def test_the_same_message_twice_in_one_call(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """It runs once, the other copy is parked, and answers keep their order."""
        claims = ledger.claim(owner, route, [make("a"), make("b"), make("a"), make("c"), make("a")])
        assert [RUN, RUN, PARKED, RUN, PARKED] == outcomes(claims)
        assert ["a", "b", "a", "c", "a"] == ids(claims)
        self.end(ledger, owner, [claim for claim in claims if claim.outcome is RUN])

    def test_another_payload_under_one_id(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A known id with another digest under the same key id is a dead letter, made once, beside the first."""
        first = self.claim_one(ledger, owner, route, make("m", 1, digest="k:aa"))
        for _ in range(2):
            answer = self.claim_one(ledger, owner, route, make("m", 2, digest="k:bb"))
            assert Outcome.MISMATCH == answer.outcome
        self.end(ledger, owner, [first])
        assert Outcome.MISMATCH == self.claim_one(ledger, owner, route, make("m", 2, digest="k:bb")).outcome
        (letter,) = ledger.dead_letters.list(DeadFilter(message_id="m"))
        assert ("mismatch", b"2") == (letter.reason, self.body(ledger, letter.number))

    def body(self, ledger: Ledger, number: int) -> bytes:
        """A dead letter's bytes."""
        letter = ledger.dead_letters.show(number)
        return letter.body if letter else b""

    def test_another_payload_in_one_call(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Two payloads under one id are told apart even when they come together."""
        both = [make("m", 1, digest="k:aa"), make("m", 2, digest="k:bb"), make("m", 2, digest="k:bb")]
        assert [RUN, Outcome.MISMATCH, Outcome.MISMATCH] == outcomes(ledger.claim(owner, route, both))
        assert 1 == ledger.dead_letters.count(DeadFilter())

    @pytest.mark.parametrize("digest", [None, "", "other:bb", ":bb"])
    def test_digests_of_other_keys_say_nothing(
        self, ledger: Ledger, owner: Owner, route: Route, digest: str | None
    ) -> None:
        """Only digests made with one key are compared."""
        self.end(ledger, owner, ledger.claim(owner, route, [make("m", 1, digest="k:aa")]))
        assert DUPLICATE == self.claim_one(ledger, owner, route, make("m", 2, digest=digest)).outcome

    def test_a_replayed_mismatch_runs(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Somebody may decide that the other payload is wanted too; it then stays known."""
        self.end(ledger, owner, ledger.claim(owner, route, [make("m", 1, digest="k:aa")]))
        other = make("m", 2, digest="k:bb")
        self.claim_one(ledger, owner, route, other)
        ledger.dead_letters.replay(DeadFilter(), by="me")
        claims = ledger.claim_due(owner, route, 10)
        assert [2] == [claim.message.data for claim in claims]
        self.end(ledger, owner, claims)
        assert Outcome.MISMATCH == self.claim_one(ledger, owner, route, other).outcome
        assert 0 == ledger.dead_letters.count(DeadFilter())

    def test_expired_messages_dont_run(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """Past its `expires` a message is recorded and never carried out, at the claim and when it is due."""
        soon = replace(make("waits"), expires=datetime.fromtimestamp(START + 5, UTC))
        ledger.settle(
            owner, [Settlement(self.claim_one(ledger, owner, route, soon), Verdict.RETRY, START + 10)]
        )
        clock.advance(10)
        assert [] == ledger.claim_due(owner, route, 10)
        assert Outcome.EXPIRED == self.claim_one(ledger, owner, route, replace(soon, id="late")).outcome
        assert [State.EXPIRED] * 2 == [self.state(ledger, name) for name in ("waits", "late")]
        assert (2, 0) == (self.stats(ledger, route).expired, self.stats(ledger, route).waiting)

    def test_deliver_at_is_parked_until_then(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """A message for later is parked, and runs at its instant and not a microsecond before."""
        message = replace(make("m", [1]), deliver_at=datetime.fromtimestamp(START + 60, UTC))
        assert [PARKED, PARKED] == outcomes(ledger.claim(owner, route, [message, message]))
        assert Due(START + 60) == ledger.due([route])
        clock.now = START + 59.999999
        assert [] == ledger.claim_due(owner, route, 10)
        clock.now = START + 60
        assert [message] == [claim.message for claim in ledger.claim_due(owner, route, 10)]

    def test_claimed_ahead(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """Who asks for it is given what will soon be due by its `deliver_at`; once, and no retry, which has no such."""
        at = [START + 60, START + 60.4, START + 60.6]
        told = [
            replace(make(f"m{n}"), deliver_at=datetime.fromtimestamp(due, UTC)) for n, due in enumerate(at)
        ]
        ledger.claim(owner, route, told)
        retried = self.claim_one(ledger, owner, route, "retried")
        ledger.settle(owner, [Settlement(retried, Verdict.RETRY, START + 60.2)])
        clock.now = START + 60
        assert ["m0", "m1"] == ids(ledger.claim_due(owner, route, 10, ahead=0.5))
        assert [] == ledger.claim_due(owner, route, 10, ahead=0.5)
        clock.now = START + 60.2
        assert ["retried", "m2"] == ids(ledger.claim_due(owner, route, 10, ahead=0.5))

    def test_nothing_ordered_is_claimed_ahead(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """A message that has a rule for its key is given at its instant, when its place among others is known."""
        for rule in (KeyRule.ORDER, KeyRule.SINGLETON):
            message = replace(
                make(rule.value), key=rule.value, deliver_at=datetime.fromtimestamp(START + 60, UTC)
            )
            ledger.claim(owner, route, [message], rule=rule)
        clock.now = START + 59.9
        assert [] == ledger.claim_due(owner, route, 10, ahead=0.5)

    def test_deliver_at_in_the_past_runs_now(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """An instant that is over holds nothing back."""
        past = replace(make("m"), deliver_at=datetime.fromtimestamp(START, UTC))
        assert RUN == self.claim_one(ledger, owner, route, past).outcome

    def test_due_messages_come_oldest_first(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """Up to the limit, in the order they are due, and only what is due."""
        claims = ledger.claim(owner, route, some(5))
        order = (30, 10, 20, 50, 40)
        later = [Settlement(claim, Verdict.RETRY, START + n) for claim, n in zip(claims, order, strict=True)]
        ledger.settle(owner, later)
        assert Due(START + 10) == ledger.due([route])
        clock.advance(40)
        assert ["m1", "m2", "m0"] == ids(ledger.claim_due(owner, route, 3))
        assert ["m4"] == ids(ledger.claim_due(owner, route, 3))
        assert Due(START + 50) == ledger.due([route])

    def test_due_asks_for_its_routes_only(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """What waits for another handler is nobody else's business."""
        claim = self.claim_one(ledger, owner, route, "m")
        ledger.settle(owner, [Settlement(claim, Verdict.RETRY, START)])
        elsewhere = replace(route, handler="other")
        assert (Due(), Due(START)) == (ledger.due([elsewhere]), ledger.due([elsewhere, route]))
        assert [] == ledger.claim_due(owner, elsewhere, 10)

    def test_the_dead_claim_nothing(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """An owner that was taken for dead hears so, whatever it asks for, and may enroll anew."""
        self.crash(ledger, clock)
        for call in (
            lambda: ledger.claim(owner, route, some(1)),
            lambda: ledger.claim_due(owner, route, 1),
            lambda: ledger.renew(owner),
        ):
            with pytest.raises(ClaimLost):
                call()
        again = ledger.enroll("again", [route])
        assert again.number != owner.number
        assert [RUN] == outcomes(ledger.claim(again, route, some(1)))

    def test_thousands_in_one_call(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A call takes as many messages as it is given."""
        claims = ledger.claim(owner, route, some(9_000))
        self.end(ledger, owner, claims)
        assert {DUPLICATE} == set(outcomes(ledger.claim(owner, route, some(9_000))))
