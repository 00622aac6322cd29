# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about attempts of which nobody knows whether they had their effect, and claims that take long."""

from __future__ import annotations

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    Claim,
    DeadFilter,
    Outcome,
    Owner,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.testing.ledger_case import FAILURE, START, Clock, LedgerCase, ids, make

EVERY = DeadFilter()


class CrashingContract(LedgerCase):
    """`Verdict.CRASHED`, `Claim.ambiguous` and `hold`."""

    def crashed(self, ledger: Ledger, owner: Owner, claim: Claim, due: float = START) -> None:
        """The process that carried it out died."""
        assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.CRASHED, due, FAILURE)])

    def test_a_crash_waits_until_due(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """It runs beside others, counts no attempt and says that it may have had its effect."""
        claim = self.claim_one(ledger, owner, route, make("m", {"n": 1}))
        assert not claim.ambiguous
        self.crashed(ledger, owner, claim, START + 2)
        assert (State.WAITING, START + 2) == (self.state(ledger, "m"), ledger.due([route]).at)
        clock.advance(2)
        (again,) = ledger.claim_due(owner, route, 10)
        assert (1, True, False, {"n": 1}) == (
            again.attempt,
            again.ambiguous,
            again.suspect,
            again.message.data,
        )
        self.end(ledger, owner, [again])
        assert (1, 1) == (self.stats(ledger, route).crashes, self.stats(ledger, route).done)

    def test_the_third_crash_is_poison(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A message that kills whatever carries it out becomes a dead letter; a replay counts anew."""
        self.crashed(ledger, owner, self.claim_one(ledger, owner, route, make("m", {"n": 1})))
        for _ in range(2):
            (again,) = ledger.claim_due(owner, route, 1)
            self.crashed(ledger, owner, again)
        assert [] == ledger.claim_due(owner, route, 1)
        (letter,) = ledger.dead_letters.list(EVERY)
        assert ("poison", 3, "m") == (letter.reason, letter.crashes, letter.message_id)
        shown = ledger.dead_letters.show(letter.number)
        assert b'{"n":1}' == (shown.body if shown else b"")
        ledger.dead_letters.replay(EVERY, by="me")
        (again,) = ledger.claim_due(owner, route, 1)
        self.crashed(ledger, owner, again)
        assert State.WAITING == self.state(ledger, "m")

    def test_a_retry_may_be_ambiguous(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """What ran past its timeout may have had its effect; what failed hasn't. It stays so until the end."""
        plain, late = ledger.claim(owner, route, [make("plain"), make("late")])
        ledger.settle(owner, [Settlement(plain, Verdict.RETRY, START, FAILURE)])
        ledger.settle(owner, [Settlement(late, Verdict.RETRY, START, FAILURE, ambiguous=True)])
        for verdict in (Verdict.RELEASE, Verdict.RETRY, Verdict.RELEASE):
            again = ledger.claim_due(owner, route, 10)
            assert {"plain": False, "late": True} == {claim.message.id: claim.ambiguous for claim in again}
            self.end(ledger, owner, again, verdict)

    def test_a_dead_consumers_claims_are_ambiguous(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Whether the ledger held them or the broker brings them again; what waited isn't."""
        self.claim_one(ledger, owner, route, "held")
        self.claim_one(ledger, other, route, "held")
        self.claim_one(ledger, owner, route, "loose")
        self.crash(ledger, clock, other)
        self.claim_one(ledger, other, route, "loose")
        for _ in range(2):
            (suspect,) = ledger.claim_due(other, route, 1, suspects=True)
            assert (True, True) == (suspect.suspect, suspect.ambiguous)
            self.end(ledger, other, [suspect])

    def test_a_replay_forgets_ambiguity(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """A person has looked at it and decided; else a policy would bury it again for ever."""
        self.crashed(ledger, owner, self.claim_one(ledger, owner, route, "m"))
        self.end(ledger, owner, ledger.claim_due(owner, route, 1), Verdict.DEAD)
        ledger.dead_letters.replay(EVERY, by="me")
        assert [False] == [claim.ambiguous for claim in ledger.claim_due(owner, route, 1)]

    def test_crashes_are_told(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """In the message's life."""
        self.crashed(ledger, owner, self.claim_one(ledger, owner, route, "m"))
        (life,) = ledger.history.life("m")
        assert "crashed" in [event.what for event in life.events]

    def test_held_claims_outlive_the_broker(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Stored while claimed: after the owner's death they run from the ledger, and while it lives they don't."""
        claims = ledger.claim(owner, route, [make("a", {"n": 1}), make("b", {"n": 2})])
        assert [True, True] == ledger.hold(owner, claims)
        assert [True, True] == ledger.hold(owner, claims)
        assert [] == ledger.claim_due(other, route, 10)
        self.end(ledger, owner, claims[1:])
        assert 1 == self.crash(ledger, clock, other)
        (again,) = ledger.claim_due(other, route, 10, suspects=True)
        assert (Outcome.RUN, {"n": 1}, True) == (again.outcome, again.message.data, again.held)

    def test_held_claims_are_released_into_the_ledger(
        self, ledger: Ledger, owner: Owner, route: Route
    ) -> None:
        """Its delivery was acknowledged, so the ledger has the only copy."""
        claim = self.claim_one(ledger, owner, route, "m")
        ledger.hold(owner, [claim])
        self.end(ledger, owner, [claim], Verdict.RELEASE)
        assert ["m"] == ids(ledger.claim_due(owner, route, 10))

    def test_nobody_holds_what_isnt_theirs(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """False for a claim that was taken over, ended, or never was."""
        ended, lost = ledger.claim(owner, route, [make("ended"), make("lost")])
        self.end(ledger, owner, [ended])
        assert [False] == ledger.hold(other, [lost])
        self.crash(ledger, clock, other)
        assert [False, False] == ledger.hold(owner, [ended, lost])
        assert [] == ledger.hold(owner, [])
