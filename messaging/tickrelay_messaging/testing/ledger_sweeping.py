# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The ledger contract: what may be forgotten, and what mustn't."""

from __future__ import annotations

from dataclasses import replace

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    BatchInfo,
    DeadFilter,
    Outcome,
    Owner,
    Retention,
    Route,
    Settlement,
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

HOUR = 3600.0
SHORT = Retention(dedup=HOUR, history=HOUR)


class SweepingContract(LedgerCase):
    """`Ledger.sweep`."""

    def done(self, ledger: Ledger, owner: Owner, route: Route, count: int = 3) -> None:
        """Messages that ended now."""
        self.end(ledger, owner, ledger.claim(owner, route, some(count)))

    def later(self, ledger: Ledger, clock: Clock, owner: Owner, seconds: float) -> None:
        """Time passes, and the consumer lives."""
        clock.advance(seconds)
        ledger.reap()
        ledger.renew(owner)

    def enroll_for_long(self, ledger: Ledger, route: Route) -> Owner:
        """A consumer that needn't be renewed while hours pass."""
        return ledger.enroll("long", [route], lease=1e9)

    def test_what_is_old_is_forgotten(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """Marks and history; the same id is a new message then. Sweeping again finds nothing."""
        owner = self.enroll_for_long(ledger, route)
        ledger.sweep({}, SHORT)
        self.done(ledger, owner, route)
        self.later(ledger, clock, owner, 4 * HOUR)
        assert ledger.sweep({route.group: clock.now}, SHORT).dedup_buckets > 0
        assert [] == ledger.history.life("m0")
        assert 0 == ledger.sweep({route.group: clock.now}, SHORT).dedup_buckets
        assert [Outcome.RUN] == outcomes(ledger.claim(owner, route, some(1)))

    def test_what_is_young_stays(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """For at least the retention."""
        owner = self.enroll_for_long(ledger, route)
        self.done(ledger, owner, route)
        self.later(ledger, clock, owner, HOUR - 1)
        ledger.sweep({route.group: clock.now}, SHORT)
        assert [Outcome.DUPLICATE] * 3 == outcomes(ledger.claim(owner, route, some(3)))

    def test_a_lagging_group_finds_its_duplicates(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """A week away: as long as its queue may still deliver something of then, or nobody knows, all is known."""
        owner = self.enroll_for_long(ledger, route)
        self.done(ledger, owner, route)
        self.later(ledger, clock, owner, 7 * 24 * HOUR)
        for marks in ({}, {route.group: START}, {"another": clock.now}):
            ledger.sweep(marks, SHORT)
        assert [Outcome.DUPLICATE] * 3 == outcomes(ledger.claim(owner, route, some(3)))

    def test_another_group_goes_by_its_own_mark(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """One that lags keeps its marks, the others' go."""
        lagging = replace(route, group="lagging")
        owner = ledger.enroll("both", [route, lagging], lease=1e9)
        ledger.sweep({}, SHORT)
        for one in (route, lagging):
            self.done(ledger, owner, one)
        self.later(ledger, clock, owner, 4 * HOUR)
        ledger.sweep({route.group: clock.now, "lagging": START}, SHORT)
        assert [Outcome.RUN] == outcomes(ledger.claim(owner, route, some(1)))
        assert [Outcome.DUPLICATE] == outcomes(ledger.claim(owner, lagging, some(1)))

    def test_young_buckets_stay_when_old_ones_go(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """Each goes when its own time is over."""
        owner = self.enroll_for_long(ledger, route)
        ledger.sweep({}, SHORT)
        self.done(ledger, owner, route, count=1)
        self.later(ledger, clock, owner, HOUR)
        ledger.sweep({route.group: clock.now}, SHORT)
        self.end(ledger, owner, [self.claim_one(ledger, owner, route, "young")])
        self.later(ledger, clock, owner, 0.9 * HOUR)
        ledger.sweep({route.group: clock.now}, SHORT)
        again = ledger.claim(owner, route, [*some(1), make("young")])
        assert [Outcome.RUN, Outcome.DUPLICATE] == outcomes(again)

    def test_a_mark_outlives_its_history(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """What it needs to be told from another payload, and to count for a later try, is still known."""
        long = Retention(dedup=100 * HOUR, history=HOUR)
        owner = self.enroll_for_long(ledger, route)
        ledger.sweep({}, long)
        info = BatchInfo(id="b", queue=route.queue, dag_id="d", run_id="r", task_id="t")
        first = f"b/{ledger.batches.open(info)}"
        self.end(ledger, owner, [self.claim_one(ledger, owner, route, make("m", batch=first, digest="k:aa"))])
        self.later(ledger, clock, owner, 8 * HOUR)
        assert ledger.sweep({route.group: clock.now}, long).history_buckets > 0
        assert [] == ledger.history.lives("b")
        other = make("m", digest="k:bb")
        assert Outcome.MISMATCH == self.claim_one(ledger, owner, route, other).outcome
        second = make("m", batch=f"b/{ledger.batches.open(info)}", digest="k:aa")
        for _ in range(2):
            assert Outcome.DUPLICATE == self.claim_one(ledger, owner, route, second).outcome
        assert 1 == self.progress(ledger, "b", route).done

    def test_what_hasnt_ended_stays(self, ledger: Ledger, clock: Clock, route: Route) -> None:
        """Claimed, waiting and dead messages, however old."""
        owner = self.enroll_for_long(ledger, route)
        claimed, waiting, dead = ledger.claim(owner, route, some(3))
        ledger.settle(owner, [Settlement(waiting, Verdict.RETRY, clock.now + HOUR, FAILURE)])
        self.end(ledger, owner, [dead], Verdict.DEAD)
        self.later(ledger, clock, owner, 100 * HOUR)
        ledger.sweep({route.group: clock.now}, SHORT)
        assert ["m1"] == ids(ledger.claim_due(owner, route, 10))
        assert 1 == ledger.dead_letters.count(DeadFilter())
        assert [True] == ledger.settle(owner, [Settlement(claimed, Verdict.DONE)])
