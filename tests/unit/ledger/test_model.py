# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite ledger beside its model: brokers redeliver, consumers die, publishers try again, in any order."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tickrelay_messaging.ledger.records import (
    BatchInfo,
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
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing.ledger_case import LEASE, Clock
from tickrelay_messaging.testing.ledger_model import ENDED, Known, Model

IDS = st.sampled_from([f"m{number}" for number in range(6)])
OWNERS = st.sampled_from([0, 1, 2])
ROUTE = Route("orders", "default", "sync")
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class LedgerMachine(RuleBasedStateMachine):
    """Whatever people, publishers and consumers do, in any order."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp(dir=SHM)
        self.clock = Clock()
        self.ledger = SqliteLedger(Path(self.folder) / "ledger.db", self.clock)
        self.owners = [self.ledger.enroll(f"owner {number}", [ROUTE], lease=LEASE) for number in range(3)]
        self.claims: list[tuple[Owner, Claim]] = []
        self.model = Model()
        self.ordinal = self.ledger.batches.open(BatchInfo(id="b", queue=ROUTE.queue))

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            shutil.rmtree(self.folder)

    @rule(names=st.lists(IDS, min_size=1, max_size=6))
    def publish(self, names: list[str]) -> None:
        self.model.broker += [(name, self.ordinal) for name in names]
        self.model.published |= set(names)

    @precondition(lambda self: self.ordinal < 3)
    @rule()
    def publish_again(self) -> None:
        self.ordinal = self.ledger.batches.open(BatchInfo(id="b", queue=ROUTE.queue))
        self.publish(sorted(self.model.published))

    @rule(which=OWNERS, limit=st.integers(1, 8))
    def claim(self, which: int, limit: int) -> None:
        owner, now = self.owners[which], self.clock.now
        copies, self.model.broker = self.model.broker[:limit], self.model.broker[limit:]
        messages = [Message(id=name, extensions={"batchid": f"b/{ordinal}"}) for name, ordinal in copies]
        claims = self.ledger.claim(owner, ROUTE, messages)
        assert [self.model.claim(copy, owner, now) for copy in copies] == [claim.outcome for claim in claims]
        self._remember(owner, [claim for claim in claims if claim.outcome is Outcome.RUN])

    @rule(which=OWNERS, limit=st.integers(1, 4), suspects=st.booleans())
    def claim_due(self, which: int, limit: int, suspects: bool) -> None:
        owner = self.owners[which]
        ready = {name: known for name, known in self.model.known.items() if self._is_due(known, suspects)}
        claims = self.ledger.claim_due(owner, ROUTE, limit, suspects=suspects)
        dues = sorted(known.due for known in ready.values())[: 1 if suspects else limit]
        assert dues == [ready[claim.message.id].due for claim in claims]
        for claim in claims:
            known = ready[claim.message.id]
            assert (known.attempt, known.suspect) == (claim.attempt, claim.suspect)
            known.state, known.owner = State.CLAIMED, owner
        self._remember(owner, claims)

    def _is_due(self, known: Known, suspects: bool) -> bool:
        waits = known.state is State.WAITING and known.held and known.due <= self.clock.now
        return waits and known.suspect == suspects

    def _remember(self, owner: Owner, claims: list[Claim]) -> None:
        for claim in claims:
            assert claim.fence > self.model.fences.get(claim.message.id, 0)
            self.model.fences[claim.message.id] = self.model.known[claim.message.id].fence = claim.fence
        self.claims += [(owner, claim) for claim in claims]

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), verdict=st.sampled_from(Verdict), delay=st.sampled_from([0, 1, 5]))
    def settle(self, data: st.DataObject, verdict: Verdict, delay: int) -> None:
        """Any claim that ever was, by whoever had it: zombies and doublets among them."""
        chosen = data.draw(st.lists(st.sampled_from(self.claims), min_size=1, max_size=4))
        owner, now = chosen[0][0], self.clock.now
        mine = [claim for one, claim in chosen if one == owner]
        due = now + delay
        answers = self.ledger.settle(
            owner, [Settlement(claim, verdict, due, Failure("E", "")) for claim in mine]
        )
        for claim, answer in zip(mine, answers, strict=True):
            known = self.model.known.get(claim.message.id)
            holds = known is not None and (known.state, known.owner) == (State.CLAIMED, owner)
            assert (holds and known.fence == claim.fence) == answer
            if answer:
                self.model.settle(claim.message.id, verdict, due, now)

    @rule(which=OWNERS)
    def crash(self, which: int) -> None:
        dead = self.owners[which]
        self.owners[which] = self.ledger.enroll("heir", [ROUTE], lease=LEASE)
        self._advance(LEASE + 1)
        assert self.model.crash(dead, self.clock.now) == self.ledger.reap()
        assert 0 == self.ledger.reap()

    @rule(which=OWNERS)
    def retire(self, which: int) -> None:
        owner = self.owners[which]
        self.ledger.retire(owner)
        for name in [name for name, known in self.model.known.items() if known.owner == owner]:
            self.model.give_back(name, self.clock.now)
        self.owners[which] = self.ledger.enroll("successor", [ROUTE], lease=LEASE)

    @rule(name=IDS)
    def replay(self, name: str) -> None:
        known = self.model.known.get(name)
        is_dead = known is not None and known.state is State.DEAD
        assert int(is_dead) == self.ledger.dead_letters.replay(DeadFilter(message_id=name), by="me")
        if is_dead:
            known.wait(self.clock.now)
            known.attempt, known.crashes, known.suspect = 1, 0, False

    @rule(name=IDS)
    def discard(self, name: str) -> None:
        known = self.model.known.get(name)
        is_dead = known is not None and known.state is State.DEAD
        assert int(is_dead) == self.ledger.dead_letters.discard(
            DeadFilter(message_id=name), by="me", reason=""
        )
        if is_dead:
            known.state = State.DISCARDED

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0]))
    def advance(self, seconds: float) -> None:
        self._advance(seconds)
        assert 0 == self.ledger.reap()

    def _advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for owner in self.owners:
            self.ledger.renew(owner)

    @invariant()
    def every_message_is_in_one_state(self) -> None:
        """The one the model knows."""
        for name in self.model.published:
            known = self.model.known.get(name)
            assert ([known.state] if known else []) == [life.state for life in self.ledger.history.life(name)]

    @invariant()
    def nothing_is_lost_or_done_twice(self) -> None:
        """What hasn't ended is at the broker, in a consumer's hands, or held by the ledger."""
        at_broker = {name for name, _ in self.model.broker}
        for name in self.model.published - at_broker:
            known = self.model.known[name]
            assert known.state in ENDED or known.held or known.copy
        assert all(count == 1 for count in self.model.done.values())

    @invariant()
    def counters_are_exact(self) -> None:
        """Now and ever, and how far the newest try of the batch is."""
        states = Counter(known.state for known in self.model.known.values())
        counts = self.model.counts
        (stats,) = self.ledger.history.stats()
        assert (states[State.CLAIMED], states[State.WAITING], states[State.DEAD], states[State.DONE]) == (
            (stats.claimed, stats.waiting, stats.dead, stats.done)
        )
        assert (counts["retried"], counts["died"], counts["crashes"], counts["duplicates"]) == (
            (stats.retried, stats.died, stats.crashes, stats.duplicates)
        )
        newest = Counter(known.state for known in self.model.known.values() if known.ordinal == self.ordinal)
        (row,) = self.ledger.batches.progress("b", ROUTE.group)
        assert (newest[State.DONE], newest[State.DEAD], newest[State.DISCARDED]) == (
            row.done,
            row.dead,
            row.discarded,
        )

    @invariant()
    def due_is_exact(self) -> None:
        """When the next may run, and how many must run alone now."""
        waiting = [
            known for known in self.model.known.values() if known.state is State.WAITING and known.held
        ]
        at = min((known.due for known in waiting if not known.suspect), default=None)
        alone = sum(known.suspect and known.due <= self.clock.now for known in waiting)
        assert Due(at, alone) == self.ledger.due([ROUTE])


LedgerMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("TICKRELAY_EXAMPLES", "50")),
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


class TestLedgerModel(LedgerMachine.TestCase):
    """Whatever happens, the ledger says what the model says."""
