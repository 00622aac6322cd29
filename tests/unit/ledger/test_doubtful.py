# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A claim that was committed, and whose answer never came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from tickrelay_messaging.errors import LedgerUnavailable
from tickrelay_messaging.ledger.records import Claim, Outcome, Owner, Route, Settlement, Verdict
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.testing.ledger_case import make, outcomes, some

RUN, PARKED = Outcome.RUN, Outcome.PARKED


def claim_unheard(ledger: SqliteLedger, owner: Owner, route: Route, count: int) -> None:
    """The commit arrives, its answer doesn't."""
    write = ledger.database.write

    @contextmanager
    def deaf() -> Iterator[Connection]:
        with write() as connection:
            yield connection
        raise LedgerUnavailable("the connection broke")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.database, "write", deaf)
        with pytest.raises(LedgerUnavailable):
            ledger.claim(owner, route, some(count))


def known(ledger: SqliteLedger, owner: Owner, route: Route) -> None:
    """Names are entered in transactions of their own, which aren't what is tested."""
    (claim,) = ledger.claim(owner, route, [make("first")])
    assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.DONE)])


def settle(ledger: SqliteLedger, owner: Owner, claims: list[Claim]) -> list[bool]:
    """All done."""
    return ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])


def test_asking_again_tells_it_again(ledger: SqliteLedger, owner: Owner, route: Route) -> None:
    """Else nobody would run it until its owner dies; once it's told, a redelivery is parked as ever."""
    known(ledger, owner, route)
    claim_unheard(ledger, owner, route, 3)
    again = ledger.claim(owner, route, some(3))
    assert [RUN] * 3 == outcomes(again)
    assert [PARKED] * 3 == outcomes(ledger.claim(owner, route, some(3)))
    assert [True] * 3 == settle(ledger, owner, again)


def test_what_runs_already_isnt_told_again(ledger: SqliteLedger, owner: Owner, route: Route) -> None:
    """A redelivery of it was among those whose answer got lost: it must not run twice."""
    known(ledger, owner, route)
    running = ledger.claim(owner, route, some(1))
    claim_unheard(ledger, owner, route, 2)
    assert [PARKED, RUN] == outcomes(ledger.claim(owner, route, some(2)))
    assert [True] == settle(ledger, owner, running)


def test_nobody_else_is_told(ledger: SqliteLedger, owner: Owner, route: Route) -> None:
    """Only the owner's own question is answered with its claim."""
    known(ledger, owner, route)
    other = ledger.enroll("other", [route])
    claim_unheard(ledger, owner, route, 1)
    assert [PARKED] == outcomes(ledger.claim(other, route, some(1)))
