# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite ledger when its disk is full or a commit fails: nothing half done, and nothing wrong remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from tickrelay_messaging import sqlite_file
from tickrelay_messaging.errors import LedgerUnavailable, ServiceError, StorageFull
from tickrelay_messaging.ledger.records import Outcome, Owner, Route, Settlement, State, Verdict
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.message import Message


def some(count: int) -> list[Message]:
    """Messages m0, m1..."""
    return [Message(id=f"m{number}") for number in range(count)]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[SqliteLedger, int], None]:
    """`limit(ledger, pages)` makes its disk full when it grows by so many pages; 0 frees it."""
    connect = sqlite_file.connect

    def set_limit(ledger: SqliteLedger, pages: int) -> None:
        def limited(path: Path, *rest: object) -> sqlite3.Connection:
            connection = connect(path, *rest)
            used = connection.execute("PRAGMA page_count").fetchone()[0]
            if pages:
                connection.execute(f"PRAGMA max_page_count={used + pages}")
            return connection

        monkeypatch.setattr(sqlite_file, "connect", limited)
        ledger.database._pool.close_idle()

    return set_limit


def test_a_full_disk(ledger: SqliteLedger, owner: Owner, route: Route, limit: Callable) -> None:
    """Nothing of the failed call is there; with space again the same calls work."""
    claims = ledger.claim(owner, route, some(500))
    limit(ledger, 3)
    with pytest.raises(StorageFull):
        ledger.claim(owner, route, [Message(id=f"n{number}") for number in range(5_000)])
    with pytest.raises(StorageFull):
        ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])
    assert (500, 0) == (ledger.history.stats()[0].claimed, ledger.history.stats()[0].done)
    limit(ledger, 0)
    assert all(ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims]))
    assert {Outcome.RUN} == {
        claim.outcome
        for claim in ledger.claim(owner, route, [Message(id=f"n{number}") for number in range(5_000)])
    }


@pytest.mark.parametrize("swallows", [True, False])
def test_a_disk_that_fills_inside_a_transaction(
    ledger: SqliteLedger, owner: Owner, route: Route, limit: Callable, swallows: bool
) -> None:
    """SQLite undoes the whole transaction then: no message of it is done, whatever its handler makes of the error."""
    claims = ledger.claim(owner, route, some(3))
    with ledger.transaction(owner, []) as transaction, transaction.message([]):
        transaction.connection.execute(text("CREATE TABLE effects (what BLOB)"))
    limit(ledger, 5)
    ignored = (Exception,) if swallows else ()

    def carry_out(claim, size: int) -> None:
        with transaction.message([claim]), suppress(*ignored):
            transaction.connection.execute(
                text("INSERT INTO effects VALUES (zeroblob(:size))"), {"size": size}
            )

    heard: list[type[Exception]] = []
    with suppress(ServiceError), ledger.transaction(owner, claims) as transaction:
        for claim, size in zip(claims, (10, 1_000_000, 10), strict=True):
            try:
                carry_out(claim, size)
            except ServiceError as error:
                heard.append(type(error))
    assert [LedgerUnavailable] * 2 == heard
    limit(ledger, 0)
    assert [State.CLAIMED] * 3 == [ledger.history.life(f"m{number}")[0].state for number in range(3)]
    with ledger.database.read() as connection:
        assert 0 == connection.execute(text("SELECT count(*) FROM effects")).scalar()
    assert [True] * 3 == ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])


def test_names_of_a_failed_transaction_are_forgotten(
    ledger: SqliteLedger, owner: Owner, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number whose row was rolled back is never used: the next one who gets it would be somebody else."""
    write = ledger.database.write

    def fails():
        context = write()
        monkeypatch.setattr(ledger.database, "write", write)
        return _Failing(context)

    monkeypatch.setattr(ledger.database, "write", fails)
    with pytest.raises(LedgerUnavailable):
        ledger.claim(owner, route, [Message(id="m", source="/a")])
    ledger.claim(owner, route, [Message(id="m", source="/b")])
    ledger.claim(owner, route, [Message(id="m", source="/a")])
    assert {"/a", "/b"} == {life.source for life in ledger.history.life("m")}


class _Failing:
    """A transaction that can't commit."""

    def __init__(self, context) -> None:
        self._context = context

    def __enter__(self):
        return self._context.__enter__()

    def __exit__(self, *_: object) -> None:
        error = LedgerUnavailable("no")
        self._context.__exit__(type(error), error, None)
        raise error


def test_an_enrolment_that_failed_leaves_no_bell(
    ledger: SqliteLedger, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number comes again, and the owner who gets it must not be taken for dead."""
    ledger.enroll("zero", [route])
    write = ledger.database.write
    calls = []

    def fails():
        calls.append(1)
        return _Failing(write()) if len(calls) == 2 else write()

    monkeypatch.setattr(ledger.database, "write", fails)
    with pytest.raises(LedgerUnavailable):
        ledger.enroll("one", [route])
    ledger.claim(ledger.enroll("two", [route]), route, some(1))
    assert 0 == ledger.reap()
    assert ["zero", "two"] == [record.owner.name for record in ledger.history.consumers()]
