# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about the outbox: what handlers' transactions publish, exactly when they commit."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Outgoing, Owner, Route
from tickrelay_messaging.testing.ledger_case import Clock, LedgerCase, make, some


class Broke(Exception):
    """What a test's handler raises."""


class OutboxContract(LedgerCase):
    """`Transaction.publish` and `outbox`; of a ledger without transactions, that nothing is in it."""

    def stage(self, ledger: Ledger, owner: Owner, *names: str) -> None:
        """A handler's transaction that publishes these; skips what a ledger can't."""
        if "transaction" not in ledger.effects:
            pytest.skip(f"{type(ledger).__name__} has no transactions, so nothing gets into its outbox")
        with ledger.transaction(owner, []) as transaction, transaction.message([]):
            transaction.publish("mails", [make(name, {"to": name}) for name in names])

    def names(self, taken: list[Outgoing]) -> list[str]:
        """Of messages."""
        return [one.message.id for one in taken]

    def test_an_empty_outbox(self, ledger: Ledger, owner: Owner) -> None:
        """Of every ledger: nothing waits, and marking nothing is no error."""
        assert ([], 0) == (ledger.outbox.take(owner, 10), ledger.outbox.count())
        ledger.outbox.sent(owner, [])
        ledger.outbox.release(owner, [])

    def test_published_is_taken_and_sent(self, ledger: Ledger, owner: Owner, other: Owner) -> None:
        """Oldest first, once; gone when the broker has confirmed it."""
        self.stage(ledger, owner, "a", "b", "c")
        taken = ledger.outbox.take(owner, 2)
        assert (["a", "b"], {"mails"}, {"to": "a"}) == (
            self.names(taken),
            {one.queue for one in taken},
            taken[0].message.data,
        )
        assert ["c"] == self.names(ledger.outbox.take(other, 10))
        assert 3 == ledger.outbox.count()
        ledger.outbox.sent(owner, [one.number for one in taken])
        assert ([], 1) == (ledger.outbox.take(owner, 10), ledger.outbox.count())

    def test_released_is_free_again(self, ledger: Ledger, owner: Owner, other: Owner) -> None:
        """What a broker didn't confirm; nobody gives back or marks what another one has taken."""
        self.stage(ledger, owner, "a", "b")
        numbers = [one.number for one in ledger.outbox.take(owner, 10)]
        ledger.outbox.release(other, numbers)
        ledger.outbox.sent(other, numbers)
        assert ([], 2) == (ledger.outbox.take(other, 10), ledger.outbox.count())
        ledger.outbox.release(owner, numbers[:1])
        assert ["a"] == self.names(ledger.outbox.take(other, 10))

    def test_a_dead_owners_are_free_again(
        self, ledger: Ledger, clock: Clock, owner: Owner, other: Owner
    ) -> None:
        """Once it is reaped, or has retired."""
        self.stage(ledger, owner, "a", "b")
        ledger.outbox.take(owner, 1)
        self.crash(ledger, clock, other)
        assert ["a", "b"] == self.names(ledger.outbox.take(other, 10))
        heir = ledger.enroll("heir", [])
        ledger.retire(other)
        assert ["a", "b"] == self.names(ledger.outbox.take(heir, 10))

    def test_what_is_undone_isnt_published(self, ledger: Ledger, owner: Owner, route: Route) -> None:
        """With its message's savepoint, or with the whole transaction."""
        self.stage(ledger, owner, "before")
        claims = ledger.claim(owner, route, some(2))
        with ledger.transaction(owner, claims) as transaction:
            for claim in claims:
                with suppress(Broke), transaction.message([claim]):
                    transaction.publish("mails", [make(f"for {claim.message.id}")])
                    if claim.message.id == "m0":
                        raise Broke
        with suppress(Broke), ledger.transaction(owner, []) as transaction:
            with transaction.message([]):
                transaction.publish("mails", [make("never")])
            raise Broke
        assert ["before", "for m1"] == self.names(ledger.outbox.take(owner, 10))

    def test_who_waits_for_work_is_told(self, ledger: Ledger, owner: Owner, other: Owner) -> None:
        """The relay needn't poll."""
        self.stage(ledger, owner, "first")
        while ledger.wait_for_work(other, 0.2):
            pass
        self.stage(ledger, owner, "second")
        assert ledger.wait_for_work(other, self.patience)
