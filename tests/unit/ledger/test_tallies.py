# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Counters as deltas: folding changes how many rows there are, and no sum."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tickrelay_messaging.ledger.records import BatchInfo, Owner, Route, Settlement, Verdict
from tickrelay_messaging.ledger.sql import tallies
from tickrelay_messaging.ledger.sql.tables import TALLIED
from tickrelay_messaging.ledger.sql.tables import tallies as table
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.message import Message

_DELTAS = st.lists(
    st.tuples(
        st.sampled_from([None, "a/1", "a/2", "b/1"]),
        st.integers(1, 3),
        st.sampled_from(TALLIED),
        st.sampled_from([1, 2, -1]),
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SqliteLedger:
    """One ledger for all examples; each is rolled back."""
    return SqliteLedger(tmp_path_factory.mktemp("tallies") / "ledger.db")


class _Undo(Exception):
    pass


@given(deltas=_DELTAS, fold_after=st.sets(st.integers(0, 30)))
@settings(max_examples=50, deadline=None)
def test_folding_keeps_the_sums(shared: SqliteLedger, deltas: list, fold_after: set[int]) -> None:
    """However often and whenever it is done, by batch and in total; folded rows are left alone by the next fold."""
    with suppress(_Undo), shared.database.write() as connection:
        expected: Counter = Counter()
        for place, (batch, route, name, delta) in enumerate(deltas):
            tallies.add(connection, Counter({(batch, route, name): delta}))
            expected[(batch, route, name)] += delta
            if place in fold_after:
                tallies.fold(connection)
                assert tallies._last(connection) == tallies._folded(connection)
        found = tallies.sums(connection)
        assert {key: n for key, n in expected.items() if n} == {
            (*where, name): n for where, counts in found.items() for name, n in counts.items() if n
        }
        totals = tallies.totals(connection)
        assert {
            route: sum(n for (_, r, name), n in expected.items() if (r, name) == (route, "done"))
            for route in totals
        } == {route: counts["done"] for route, counts in totals.items()}
        raise _Undo


def test_reaping_folds_now_and_then(
    ledger: SqliteLedger, owner: Owner, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any consumer's death the table stays small, and progress stays exact."""
    monkeypatch.setattr(tallies, "FOLD_OVER", 10)
    ledger.batches.open(BatchInfo(id="b", queue=route.queue))
    for number in range(100):
        (claim,) = ledger.claim(owner, route, [Message(id=f"m{number}", extensions={"batchid": "b/1"})])
        ledger.settle(owner, [Settlement(claim, Verdict.DONE)])
        assert 0 == ledger.reap()
    with ledger.database.read() as connection:
        rows = connection.execute(select(func.count()).select_from(table)).scalar()
    assert rows < 30
    assert (100, 100) == (ledger.batches.progress("b", route.group)[0].done, ledger.history.stats()[0].done)
