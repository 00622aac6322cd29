# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about steps: what a handler has got done within one message."""

from __future__ import annotations

import pytest

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import DeadFilter, Owner, Route, Verdict
from tickrelay_messaging.testing.ledger_case import START, Clock, LedgerCase


class StepsContract(LedgerCase):
    """`steps`."""

    def test_the_first_result_stays(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """By name, byte for byte, for this message only."""
        claim, other = (self.claim_one(ledger, owner, route, name) for name in ("m", "n"))
        assert {} == ledger.steps.get(claim)
        for name, result in (("charge", b"\0\xff"), ("mail", b""), ("charge", b"again")):
            ledger.steps.put(owner, claim, name, result)
        assert ({"charge": b"\0\xff", "mail": b""}, {}) == (ledger.steps.get(claim), ledger.steps.get(other))

    def test_they_outlive_a_failure(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """The next attempt, a dead letter and its replay find what was done before."""
        claim = self.claim_one(ledger, owner, route, "m")
        ledger.steps.put(owner, claim, "charge", b"1")
        self.end(ledger, owner, [claim], Verdict.RETRY)
        claims = ledger.claim_due(owner, route, 1)
        assert {"charge": b"1"} == ledger.steps.get(claims[0])
        self.end(ledger, owner, claims, Verdict.DEAD)
        ledger.dead_letters.replay(DeadFilter(), by="me")
        (again,) = ledger.claim_due(owner, route, 1)
        assert {"charge": b"1"} == ledger.steps.get(again)

    def test_they_are_forgotten_at_the_end(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """Of done and discarded messages nothing is left."""
        done, discarded, stays = (self.claim_one(ledger, owner, route, name) for name in ("a", "b", "c"))
        for claim in (done, discarded, stays):
            ledger.steps.put(owner, claim, "charge", b"1")
        self.end(ledger, owner, [done])
        self.end(ledger, owner, [discarded], Verdict.DEAD)
        ledger.dead_letters.discard(DeadFilter(), by="me", reason="obsolete")
        assert [{}, {}, {"charge": b"1"}] == [ledger.steps.get(claim) for claim in (done, discarded, stays)]

    def test_a_zombie_remembers_nothing(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner, route: Route
    ) -> None:
        """Refused once the fence has moved on, the claim has ended, or for somebody else's."""
        claim = self.claim_one(ledger, owner, route, "m")
        with pytest.raises(ClaimLost):
            ledger.steps.put(other, claim, "charge", b"other")
        self.claim_one(ledger, other, route, "m")
        self.crash(ledger, clock, other)
        (mine,) = ledger.claim_due(other, route, 1, suspects=True)
        ledger.steps.put(other, mine, "charge", b"mine")
        with pytest.raises(ClaimLost):
            ledger.steps.put(owner, claim, "mail", b"zombie")
        assert {"charge": b"mine"} == ledger.steps.get(mine)
        self.end(ledger, other, [mine])
        with pytest.raises(ClaimLost):
            ledger.steps.put(other, mine, "late", b"1")
        assert clock.now > START
