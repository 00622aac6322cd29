# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about assignments: which DAG run has which message."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tickrelay_messaging.ledger.assignments import ASSIGNED_FOR
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.testing.ledger_case import Clock, LedgerCase


def _named(names: str) -> Sequence[tuple[str, str]]:
    return [("shop", name) for name in names]


class AssigningContract(LedgerCase):
    """`assignments`."""

    def test_the_first_taker_has_it(self, ledger: Ledger) -> None:
        """Answers in the order of the messages; who asks again has the same, and nobody has another's."""
        assign = ledger.assignments.assign
        assert [True, True] == assign("dag", "run 1", _named("ab"))
        assert [False, True, False] == assign("dag", "run 2", _named("acb"))
        assert [True, False, True] == assign("dag", "run 1", _named("bca"))
        assert [] == assign("dag", "run 1", [])

    def test_scope_source_and_id_make_a_message(self, ledger: Ledger) -> None:
        """What differs in one of them is another; one told twice in a call is one."""
        assign = ledger.assignments.assign
        assert [True, True] == assign("dag", "run 1", _named("aa"))
        assert [True] == assign("other dag", "run 2", _named("a"))
        assert [True, False] == assign("dag", "run 2", [("till", "a"), ("shop", "a")])

    def test_it_is_forgotten_after_a_day(self, ledger: Ledger, clock: Clock) -> None:
        """Known for as long as was promised, and for no more than twice that."""
        assign = ledger.assignments.assign
        assign("dag", "run 1", _named("a"))
        clock.advance(ASSIGNED_FOR)
        assert [False, True] == assign("dag", "run 2", _named("ab"))
        clock.advance(ASSIGNED_FOR)
        assign("dag", "run 3", _named("c"))  # old ones are dropped on the way
        assert [True, False] == assign("dag", "run 3", _named("ab"))

    def test_many_at_once(self, ledger: Ledger) -> None:
        """However many take the same messages at a time, each has one taker; thousands go in one call."""
        messages = [("shop", str(number)) for number in range(2_500)]

        def take(number: int) -> list[bool]:
            return ledger.assignments.assign("dag", f"run {number}", messages)

        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(take, range(4)))
        assert {1} == {sum(column) for column in zip(*taken, strict=True)}
