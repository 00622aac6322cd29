# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about settling, and about consumers that leave or die."""

from __future__ import annotations

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    Claim,
    DeadFilter,
    Due,
    Failure,
    Outcome,
    Owner,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.testing.ledger_case import (
    FAILURE,
    START,
    Clock,
    LedgerCase,
    ids,
    make,
    outcomes,
    some,
)


class EndingContract(LedgerCase):
    """`settle`, `retire` and `reap`."""

    def test_mixed_verdicts_are_answered_in_order(
        self, ledger: Ledger, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Each claim ends as it was settled; only those of the owner's hands count, and the answer says which."""
        done, retry, dead, back = ledger.claim(owner, route, some(4))
        foreign = self.claim_one(ledger, other, route, "foreign")
        settlements = [
            Settlement(foreign, Verdict.DONE),
            Settlement(done, Verdict.DONE),
            Settlement(retry, Verdict.RETRY, START + 9, FAILURE),
            Settlement(dead, Verdict.DEAD, failure=FAILURE),
            Settlement(back, Verdict.RELEASE),
        ]
        assert [False, True, True, True, True] == ledger.settle(owner, settlements)
        states = [self.state(ledger, name) for name in ("foreign", "m0", "m1", "m2")]
        assert [State.CLAIMED, State.DONE, State.WAITING, State.DEAD] == states
        assert [] == ledger.history.life("m3")
        assert [] == ledger.settle(owner, [])

    def test_settling_twice(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """The first settlement of a claim counts, in one call and in two."""
        first, second = ledger.claim(owner, route, some(2))
        twice = [
            Settlement(first, Verdict.DONE),
            Settlement(first, Verdict.DEAD),
            Settlement(second, Verdict.DONE),
        ]
        assert [True, False, True] == ledger.settle(owner, twice)
        assert [False] * 3 == ledger.settle(owner, twice)
        assert (2, 0) == (self.stats(ledger, route).done, self.stats(ledger, route).dead)

    def test_retries_count_attempts(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """Each failure is one attempt more; the stack of each is kept in the life."""
        claim = self.claim_one(ledger, owner, route, make("m", {"n": 1}))
        for attempt in (1, 2, 3):
            assert attempt == claim.attempt
            ledger.settle(owner, [Settlement(claim, Verdict.RETRY, clock.now + 1, FAILURE)])
            clock.advance(1)
            (claim,) = ledger.claim_due(owner, route, 10)
        assert {"n": 1} == claim.message.data
        self.end(ledger, owner, [claim])
        (life,) = ledger.history.life("m")
        assert (4, 3) == (life.attempts, [event.what for event in life.events].count("failed"))
        assert (1, 3) == (self.stats(ledger, route).done, self.stats(ledger, route).retried)

    def test_an_older_fence_is_refused(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """A claim of the same owner from before its retry ends nothing, not even beside the valid one."""
        old = self.claim_one(ledger, owner, route, "m")
        ledger.settle(owner, [Settlement(old, Verdict.RETRY, clock.now)])
        (new,) = ledger.claim_due(owner, route, 1)
        assert new.fence > old.fence
        both = [Settlement(old, Verdict.DEAD, failure=FAILURE), Settlement(new, Verdict.DONE)]
        assert [False, True] == ledger.settle(owner, both)
        assert State.DONE == self.state(ledger, "m")

    def test_a_zombie_is_refused(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Who was taken for dead settles nothing, before and after somebody else has taken over."""
        zombie = self.claim_one(ledger, owner, route, "m")
        self.claim_one(ledger, other, route, "m")
        assert 1 == self.crash(ledger, clock, other)
        assert [False] == ledger.settle(owner, [Settlement(zombie, Verdict.DONE)])
        (taken,) = ledger.claim_due(other, route, 1, suspects=True)
        assert taken.fence > zombie.fence
        assert [False] == ledger.settle(owner, [Settlement(zombie, Verdict.DONE)])
        self.end(ledger, other, [taken])
        assert 1 == self.stats(ledger, route).done

    def test_fences_grow_whatever_the_clock_says(
        self, ledger: Ledger, clock: Clock, owner: Owner, route: Route
    ) -> None:
        """Also where a release left no trace of the message, and the clock stands still or goes back."""
        fences = []
        for seconds in (0.0, 0.0, -100.0, 0.0):
            clock.advance(seconds)
            claim = self.claim_one(ledger, owner, route, "m")
            fences.append(claim.fence)
            self.end(ledger, owner, [claim], Verdict.RELEASE)
        assert sorted(set(fences)) == fences

    def test_release_gives_back(self, ledger: Ledger, owner: Owner, other: Owner, route: Route) -> None:
        """What the broker still has is forgotten; what the ledger holds waits for the next. No attempt is counted."""
        loose, held = ledger.claim(owner, route, [make("loose"), make("held")])
        self.claim_one(ledger, other, route, "held")
        self.end(ledger, owner, [loose, held], Verdict.RELEASE)
        assert [Outcome.RUN, Outcome.PARKED] == outcomes(
            ledger.claim(other, route, [make("loose"), make("held")])
        )
        (again,) = ledger.claim_due(other, route, 10)
        assert ("held", 1, False) == (again.message.id, again.attempt, again.suspect)

    def test_retiring_releases(self, ledger: Ledger, owner: Owner, other: Owner, route: Route) -> None:
        """Who leaves gives back everything, under no suspicion, and is not listed any more."""
        ledger.claim(owner, route, [make("loose"), make("held")])
        self.claim_one(ledger, other, route, "held")
        ledger.retire(owner)
        assert ["held"] == ids(ledger.claim_due(other, route, 10))
        assert [Outcome.RUN] == outcomes(ledger.claim(other, route, [make("loose")]))
        assert [other] == [record.owner for record in ledger.history.consumers()]
        assert 0 == self.stats(ledger, route).crashes
        ledger.retire(owner)

    def test_a_late_retirement_takes_nothing(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Who was taken for dead can't give back what is somebody else's now."""
        self.claim_one(ledger, owner, route, "m")
        self.claim_one(ledger, other, route, "m")
        self.crash(ledger, clock, other)
        (taken,) = ledger.claim_due(other, route, 1, suspects=True)
        ledger.retire(owner)
        self.end(ledger, other, [taken])

    def test_the_living_arent_reaped(self, ledger: Ledger, clock: Clock, owner: Owner, route: Route) -> None:
        """Within its lease, counted from the last renewal, an owner keeps its claims."""
        claim = self.claim_one(ledger, owner, route, "m")
        for _ in range(3):
            clock.advance(owner.lease - 0.1)
            assert 0 == ledger.reap()
            ledger.renew(owner)
        self.end(ledger, owner, [claim])

    def test_orphans_come_back_with_their_payload(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """What a dead consumer had only from the broker waits for it to be brought again, then runs alone."""
        dead = self.claim_one(ledger, owner, route, "m")
        assert 1 == self.crash(ledger, clock, other)
        assert (Due(), 0) == (ledger.due([route]), ledger.reap())
        assert Outcome.PARKED == self.claim_one(ledger, other, route, "m").outcome
        assert Due(None, 1) == ledger.due([route])
        assert [] == ledger.claim_due(other, route, 10)
        (again,) = ledger.claim_due(other, route, 10, suspects=True)
        assert (True, 1) == (again.suspect, again.attempt)
        assert again.fence > dead.fence

    def test_suspects_run_one_at_a_time(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """However many are asked for, one is given: only so another death tells which message kills."""
        self.make_suspects(ledger, clock, (owner, other), route, 3)
        first = ledger.claim_due(other, route, 10, suspects=True)
        assert (1, Due(None, 2)) == (len(first), ledger.due([route]))

    def test_a_suspect_that_waits_isnt_due(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """A suspect to be tried again later keeps nobody from working until then."""
        self.make_suspects(ledger, clock, (owner, other), route, 1)
        (claim,) = ledger.claim_due(other, route, 1, suspects=True)
        ledger.settle(other, [Settlement(claim, Verdict.RETRY, clock.now + 5, FAILURE)])
        assert Due() == ledger.due([route])
        clock.advance(5)
        assert Due(None, 1) == ledger.due([route])

    def make_suspects(
        self, ledger: Ledger, clock: Clock, owners: tuple[Owner, Owner], route: Route, count: int
    ) -> None:
        """Messages m0, m1... in the ledger, whose consumer died."""
        for owner in owners:
            ledger.claim(owner, route, some(count))
        assert count == self.crash(ledger, clock, owners[1])

    def die_alone(self, ledger: Ledger, clock: Clock, route: Route) -> Claim | None:
        """A new consumer takes a suspect and dies with it; None if there is none left."""
        victim = ledger.enroll("victim", [route])
        claims = ledger.claim_due(victim, route, 10, suspects=True)
        self.crash(ledger, clock)
        return claims[0] if claims else None

    def test_the_third_lone_crash_is_poison(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """A message that kills its consumer three times while it runs alone is a dead letter, payload and all."""
        self.make_suspects(ledger, clock, (owner, other), route, 1)
        for _ in range(3):
            assert State.WAITING == self.state(ledger, "m0")
            assert self.die_alone(ledger, clock, route)
        assert self.die_alone(ledger, clock, route) is None
        (letter,) = ledger.dead_letters.list(DeadFilter(queue=route.queue))
        assert ("poison", 3, 1) == (letter.reason, letter.crashes, letter.attempts)
        shown = ledger.dead_letters.show(letter.number)
        assert b'"body"' == (shown.body if shown else b"")

    def test_innocents_never_become_poison(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Beside a killer, however often: what dies in company, or waits meanwhile, isn't counted against it."""
        self.make_suspects(ledger, clock, (owner, other), route, 2)
        for _ in range(5):
            company = ledger.enroll("company", [route])
            assert all(ledger.claim_due(company, route, 1, suspects=True) for _ in range(2))
            self.crash(ledger, clock)
        assert 0 == ledger.dead_letters.count(DeadFilter())
        assert Due(None, 2) == ledger.due([route])

    def test_what_handlers_raise_is_kept(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Whatever is in an error's text (a file name that isn't UTF-8, half an emoji, a NUL), settling works."""
        claim = self.claim_one(ledger, owner, route, "m")
        odd = Failure("OSError", "no file caf\udce9 \ud83d \x00", "stack \udcff")
        assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.DEAD, failure=odd)])
        (letter,) = ledger.dead_letters.list(DeadFilter(error="no file caf"))
        assert "m" == letter.message_id
