# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about singletons: one of a key at a time, and what comes meanwhile is skipped."""

from __future__ import annotations

from dataclasses import replace

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import (
    BatchInfo,
    KeyRule,
    Outcome,
    Owner,
    Route,
    Settlement,
    State,
    Verdict,
)
from tickrelay_messaging.testing.ledger_case import FAILURE, Clock, LedgerCase, ids, make, outcomes
from tickrelay_messaging.testing.ledger_ordering import keyed, row

RUN, SKIPPED = Outcome.RUN, Outcome.SKIPPED
SINGLETON = KeyRule.SINGLETON


class SingletonContract(LedgerCase):
    """`claim` under `SINGLETON`."""

    def test_one_at_a_time(self, ledger: Ledger, owner: Owner, other: Owner, route: Route) -> None:
        """While one of the key is claimed the others are skipped, whoever asks; afterwards the next runs."""
        first, second = ledger.claim(owner, route, row("a", "b"), rule=SINGLETON)
        assert [RUN, SKIPPED] == outcomes([first, second])
        assert [SKIPPED, RUN] == outcomes(
            ledger.claim(other, route, [keyed("c"), keyed("x", "elsewhere")], rule=SINGLETON)
        )
        self.end(ledger, owner, [first])
        assert [RUN] == outcomes(ledger.claim(other, route, row("d"), rule=SINGLETON))

    def test_without_a_key_the_handler_is_one(
        self, ledger: Ledger, owner: Owner, other: Owner, route: Route
    ) -> None:
        """One message at a time of the handler; another handler has its own."""
        assert [RUN, SKIPPED] == outcomes(ledger.claim(owner, route, [make("a"), make("b")], rule=SINGLETON))
        assert [SKIPPED] == outcomes(ledger.claim(other, route, [make("c")], rule=SINGLETON))
        elsewhere = replace(route, handler="other")
        assert [RUN] == outcomes(ledger.claim(other, elsewhere, [make("c")], rule=SINGLETON))

    def test_skipped_is_an_end(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """It's counted, told, part of its batch's progress, and a duplicate when it comes again."""
        tag = f"b/{ledger.batches.open(BatchInfo(id='b', queue=route.queue))}"
        messages = [replace(make(name, batch=tag), key="k") for name in ("a", "b")]
        claims = ledger.claim(owner, route, messages, rule=SINGLETON)
        assert (State.SKIPPED, 1) == (self.state(ledger, "b"), self.stats(ledger, route).skipped)
        self.end(ledger, owner, claims[:1])
        assert [Outcome.DUPLICATE] == outcomes(ledger.claim(owner, route, messages[1:], rule=SINGLETON))
        ledger.batches.close("b", 1, count=2)
        progress = self.progress(ledger, "b", route)
        assert (1, 1, True, 0) == (progress.done, progress.skipped, progress.settled, progress.failed)
        assert (0, 1) == (progress.open, progress.ends["skipped"])

    def test_skipped_when_due(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """A retry that is due while another one runs is skipped too; of two that are due the first runs."""
        for name in ("a", "b"):
            (claim,) = ledger.claim(owner, route, row(name), rule=SINGLETON)
            ledger.settle(owner, [Settlement(claim, Verdict.RETRY, clock.now + 1, FAILURE)])
        clock.advance(1)
        (running,) = ledger.claim_due(other, route, 10)
        assert {State.CLAIMED, State.SKIPPED} == {self.state(ledger, name) for name in ("a", "b")}
        ledger.settle(other, [Settlement(running, Verdict.RETRY, clock.now + 1, FAILURE)])
        ledger.claim(owner, route, row("c"), rule=SINGLETON)
        clock.advance(1)
        assert [] == ledger.claim_due(other, route, 10)
        assert (State.SKIPPED, 2) == (
            self.state(ledger, running.message.id),
            self.stats(ledger, route).skipped,
        )

    def test_a_dead_consumer_frees_it(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Its claim counts until it is reaped, and not afterwards."""
        ledger.claim(owner, route, row("a"), rule=SINGLETON)
        assert [SKIPPED] == outcomes(ledger.claim(other, route, row("b"), rule=SINGLETON))
        self.crash(ledger, clock, other)
        assert [RUN] == outcomes(ledger.claim(other, route, row("c"), rule=SINGLETON))

    def test_released_and_brought_again(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """What was given back isn't skipped by itself."""
        claims = ledger.claim(owner, route, row("a"), rule=SINGLETON)
        self.end(ledger, owner, claims, Verdict.RELEASE)
        again = ledger.claim(owner, route, row("a"), rule=SINGLETON)
        assert ([RUN], ["a"]) == (outcomes(again), ids(again))
