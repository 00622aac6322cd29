# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about `effect="transaction"`: a message's writes and its done-mark, both or none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from sqlalchemy import Connection, text

from tickrelay_messaging.errors import CallerError, ClaimLost, ConfigurationError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Claim, Owner, Route, Settlement, State, Verdict
from tickrelay_messaging.testing.ledger_case import Clock, LedgerCase, in_thread, some


class Broke(Exception):
    """What a test's handler raises."""


def put(connection: Connection, what: str) -> None:
    """A handler's effect."""
    connection.execute(text("INSERT INTO effects VALUES (:what)"), {"what": what})


def put_and_end(connection: Connection, way: str) -> None:
    """An effect, and then the transaction's end by a method, or else by a statement."""
    put(connection, "refused")
    if hasattr(connection, way):
        getattr(connection, way)()
    else:
        connection.execute(text(way))


class TransactingContract(LedgerCase):
    """`transaction`."""

    @pytest.fixture
    def effects(self, ledger: Ledger, owner: Owner) -> Callable[[], list[str]]:
        """What handlers have written into their table, as another transaction sees it."""
        if not self.transactional:
            pytest.skip(f"{type(ledger).__name__} is no SQL database")
        with ledger.transaction(owner, []) as transaction, transaction.message([]):
            transaction.connection.execute(text("CREATE TABLE effects (what TEXT)"))

        def seen() -> list[str]:
            with ledger.transaction(owner, []) as transaction, transaction.message([]):
                return [row[0] for row in transaction.connection.execute(text("SELECT what FROM effects"))]

        return seen

    @pytest.fixture
    def claims(self, ledger: Ledger, owner: Owner, route: Route) -> list[Claim]:
        """Three messages in hand."""
        return ledger.claim(owner, route, some(3))

    def states(self, ledger: Ledger) -> list[State]:
        """Of m0, m1 and m2."""
        return [self.state(ledger, f"m{number}") for number in range(3)]

    def test_no_transactions(self, ledger: Ledger, owner: Owner) -> None:
        """A ledger that is no SQL database says so."""
        if self.transactional:
            pytest.skip(f"{type(ledger).__name__} is a SQL database")
        with pytest.raises(ConfigurationError), ledger.transaction(owner, []):
            pass

    def test_effects_and_marks_commit_together(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]]
    ) -> None:
        """After a clean exit every message is done and its effect is there; settling again is refused."""
        with ledger.transaction(owner, claims) as transaction:
            for claim in claims:
                with transaction.message([claim]):
                    put(transaction.connection, claim.message.id)
        assert ["m0", "m1", "m2"] == effects()
        assert [State.DONE] * 3 == self.states(ledger)
        assert [False] * 3 == ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])

    def test_a_failure_undoes_only_its_message(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]]
    ) -> None:
        """The others of the transaction stay, and the failed one is still its owner's to settle."""
        with ledger.transaction(owner, claims) as transaction:
            for claim in claims:
                with suppress(Broke), transaction.message([claim]):
                    put(transaction.connection, claim.message.id)
                    if claim is claims[1]:
                        raise Broke
        assert ["m0", "m2"] == effects()
        assert [State.DONE, State.CLAIMED, State.DONE] == self.states(ledger)
        self.end(ledger, owner, [claims[1]])

    def test_an_outer_failure_leaves_nothing(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]]
    ) -> None:
        """Neither effect nor mark, of no message."""
        with suppress(Broke), ledger.transaction(owner, claims) as transaction:
            with transaction.message(claims):
                put(transaction.connection, "all")
            raise Broke
        assert ([], [State.CLAIMED] * 3) == (effects(), self.states(ledger))

    def test_a_batch_shares_its_fate(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]]
    ) -> None:
        """Several messages in one call of a handler are done together; carried out twice they are refused."""
        with ledger.transaction(owner, claims) as transaction:
            with transaction.message(claims):
                put(transaction.connection, "all")
            with pytest.raises(ClaimLost), transaction.message(claims[:1]):
                put(transaction.connection, "twice")
        assert (["all"], [State.DONE] * 3) == (effects(), self.states(ledger))

    def test_what_was_taken_over_isnt_carried_out(
        self,
        ledger: Ledger,
        clock: Clock,
        owner: Owner,
        claims: list[Claim],
        effects: Callable[[], list[str]],
    ) -> None:
        """A zombie's transaction does nothing."""
        self.crash(ledger, clock)
        with (
            ledger.transaction(owner, claims) as transaction,
            pytest.raises(ClaimLost),
            transaction.message([claims[0]]),
        ):
            put(transaction.connection, "zombie")
        assert [] == effects()

    @pytest.mark.parametrize(
        "way", ["commit", "rollback", "close", "COMMIT", " rollback", "End;", "begin immediate"]
    )
    def test_handlers_neither_commit_nor_roll_back(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]], way: str
    ) -> None:
        """It is refused with nothing half done, whichever way they try, and the others don't suffer from it."""
        with ledger.transaction(owner, claims) as transaction:
            with transaction.message([claims[0]]):
                put(transaction.connection, "before")
            with pytest.raises(CallerError), transaction.message([claims[1]]):
                put_and_end(transaction.connection, way)
            with transaction.message([claims[2]]):
                put(transaction.connection, "behind")
        assert ["before", "behind"] == effects()
        assert [State.DONE, State.CLAIMED, State.DONE] == self.states(ledger)

    def test_handlers_may_nest(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]]
    ) -> None:
        """A savepoint of the handler's own works."""
        with ledger.transaction(owner, claims) as transaction, transaction.message(claims):
            put(transaction.connection, "kept")
            with suppress(Broke), transaction.connection.begin_nested():
                put(transaction.connection, "undone")
                raise Broke
        assert ["kept"] == effects()

    def test_abort_lets_others_go_on(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]]
    ) -> None:
        """From another thread, while a handler hangs: nothing of its transaction is ever seen, before it and after."""
        began, go_on = threading.Event(), threading.Event()
        heard: list[BaseException] = []

        def hang() -> None:
            try:
                with ledger.transaction(owner, claims) as transaction:
                    aborts.append(transaction.abort)
                    with transaction.message([claims[0]]):
                        put(transaction.connection, "earlier")
                    with suppress(Exception), transaction.message([claims[1]]):
                        began.set()
                        go_on.wait(self.patience)
                        with suppress(Exception):
                            put(transaction.connection, "late")
                        put(transaction.connection, "later")
                    with suppress(Exception), transaction.message([claims[2]]):
                        put(transaction.connection, "next")
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                heard.append(error)

        aborts: list[Callable[[], None]] = []
        thread = in_thread(hang)
        assert began.wait(self.patience)
        aborts[0]()
        aborts[0]()
        assert [True] == ledger.settle(owner, [Settlement(claims[2], Verdict.DONE)])
        go_on.set()
        thread.join(self.patience)
        assert [ClaimLost] == [type(error) for error in heard]
        assert [] == effects()
        assert [State.CLAIMED, State.CLAIMED, State.DONE] == self.states(ledger)

    def test_abort_ends_a_long_statement(
        self, ledger: Ledger, owner: Owner, claims: list[Claim], effects: Callable[[], list[str]]
    ) -> None:
        """A handler in the middle of a statement that would take for ever doesn't keep the others waiting."""
        began = threading.Event()
        aborts: list[Callable[[], None]] = []
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) INSERT INTO effects SELECT x FROM n"

        def compute() -> None:
            with suppress(Exception), ledger.transaction(owner, claims) as transaction:
                aborts.append(transaction.abort)
                with transaction.message([claims[0]]):
                    put(transaction.connection, "before")
                    began.set()
                    try:
                        transaction.connection.execute(text(endless))
                    finally:
                        put(transaction.connection, "after")

        thread = in_thread(compute)
        assert began.wait(self.patience)
        aborts[0]()
        assert [True] == ledger.settle(owner, [Settlement(claims[2], Verdict.DONE)])
        thread.join(self.patience)
        assert not thread.is_alive()
        assert [] == effects()
