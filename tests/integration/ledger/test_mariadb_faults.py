# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The MariaDB ledger when its server goes away, refuses, undoes a transaction, or is used by many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import text
from tests.services.mariadb import PASSWORD, MariaDb, running_mariadb

from tickrelay_messaging.errors import CallerError, ConfigurationError, LedgerUnavailable
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.mariadb import MariaDbLedger
from tickrelay_messaging.ledger.records import Outcome, Route, Settlement, Verdict
from tickrelay_messaging.testing.ledger_case import PATIENCE, in_thread, make, some

ROUTE = Route("orders", "default", "sync")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """One server, which a test kills and starts again."""
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def database(server: MariaDb) -> str:
    """An empty one."""
    return server.new_database()


@pytest.fixture
def url(server: MariaDb, database: str) -> str:
    """Where it is."""
    return server.url(database)


def test_its_url_opens_it(url: str) -> None:
    """Both names of the kind lead to the same ledger."""
    with open_ledger(url) as first, open_ledger(url.replace("mariadb:", "mysql:")) as second:
        assert isinstance(first, MariaDbLedger)
        assert first.id == second.id


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("mariadb://tickrelay:wrong@127.0.0.1:{port}/{database}", "Access denied"),
        (f"mariadb://tickrelay:{PASSWORD}@127.0.0.1:{{port}}/nowhere", "nowhere"),
        (f"mariadb://tickrelay:{PASSWORD}@127.0.0.1:{{port}}", "names no database"),
        (f"mariadb://tickrelay:{PASSWORD}@127.0.0.1:{{port}}/{{database}}?ssl_mode=required", "SSL"),
        (f"mariadb://tickrelay:{PASSWORD}@127.0.0.1:{{port}}/{{database}}?nonsense=1", "nonsense"),
    ],
)
def test_a_refusal_is_final(server: MariaDb, database: str, wrong: str, told: str) -> None:
    """What trying again can't mend is a mistake in the configuration, told without the password."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        open_ledger(wrong.format(port=server.port, database=database))
    assert PASSWORD not in str(caught.value)


def test_nobody_there() -> None:
    """A server that can't be reached may be there later."""
    with pytest.raises(LedgerUnavailable):
        open_ledger("mariadb://tickrelay@127.0.0.1:1/ledger")


def test_a_killed_server_comes_back(server: MariaDb, url: str) -> None:
    """Calls fail as unavailable while it's away; then they work again, and what was confirmed is there."""
    with MariaDbLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(3))
        assert [True] == ledger.settle(owner, [Settlement(claims[0], Verdict.DONE)])
        assert ledger.wait(0)
        server.server.kill()
        with pytest.raises(LedgerUnavailable):
            ledger.settle(owner, [Settlement(claims[1], Verdict.DONE)])
        server.server.start()
        assert ledger.wait(PATIENCE), "a lost connection may have missed something"
        assert [False, True] == [
            ledger.settle(owner, [Settlement(claim, Verdict.DONE)])[0] for claim in claims[:2]
        ]
        assert [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.PARKED] == [
            claim.outcome for claim in ledger.claim(owner, ROUTE, some(3))
        ]


def test_after_a_deadlock_nothing_is_done(server: MariaDb, database: str, url: str) -> None:
    """The server undoes the whole transaction; a handler that swallows that has neither effect nor mark."""
    server.run("CREATE TABLE things (number INT PRIMARY KEY, what INT) ENGINE=InnoDB", database)
    server.run("INSERT INTO things VALUES (1, 0), (2, 0)", database)
    met = threading.Barrier(2)
    lost: list[Exception] = []
    with MariaDbLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(2))

        def work(place: int) -> None:
            change = text("UPDATE things SET what = what + 1 WHERE number = :number")
            numbers = (1, 2) if place else (2, 1)
            try:
                with ledger.transaction(owner, [claims[place]]) as mine, mine.message([claims[place]]):
                    mine.connection.execute(change, {"number": numbers[0]})
                    met.wait(PATIENCE)
                    with suppress(Exception):
                        mine.connection.execute(change, {"number": numbers[1]})
            except LedgerUnavailable as error:
                lost.append(error)

        threads = [in_thread(lambda place=place: work(place)) for place in range(2)]  # type: ignore[misc]
        for thread in threads:
            thread.join(PATIENCE)
        assert ["ended the transaction" in str(error) for error in lost] == [True]
        assert [(1,), (1,)] == server.run("SELECT what FROM things", database)
        done = ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])
    assert sorted(done) == [False, True]


def test_a_statement_that_commits_is_refused(url: str) -> None:
    """MariaDB commits before it makes a table: in a handler that would tear effect and mark apart."""
    with MariaDbLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(1))
        with (
            ledger.transaction(owner, claims) as inside,
            pytest.raises(CallerError, match="commit"),
            inside.message(claims),
        ):
            inside.connection.execute(text("CREATE TABLE beside (what TEXT)"))
        assert [True] == ledger.settle(owner, [Settlement(claims[0], Verdict.DONE)])


def test_who_holds_the_lock_and_sleeps_is_thrown_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that was stopped in the middle keeps nobody from writing for ever."""
    monkeypatch.setattr("tickrelay_messaging.ledger.mariadb.transacting._STALLED", 2)
    with MariaDbLedger(url) as stopped, MariaDbLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        with pytest.raises(LedgerUnavailable), stopped.database.write():
            assert [Outcome.RUN] == [claim.outcome for claim in ledger.claim(owner, ROUTE, [make("m")])]


def test_a_table_made_in_the_middle_commits_nothing(server: MariaDb, database: str, url: str) -> None:
    """What a failing write had written before and behind a new table is undone; one to be dropped stays till then."""
    with MariaDbLedger(url) as ledger:
        entry = text("INSERT INTO meta VALUES (:name, 'x')")
        with pytest.raises(ZeroDivisionError), ledger.database.write() as connection:  # noqa: PT012
            connection.execute(entry, {"name": "before"})
            connection.execute(text("CREATE TABLE bucket (number INT)"))
            connection.execute(entry, {"name": "behind"})
            connection.execute(text("DROP TABLE bucket"))
            _ = 1 / 0
        with ledger.database.write() as connection:
            connection.execute(text("INSERT INTO bucket VALUES (1)"))
    assert [(1,)] == server.run("SELECT number FROM bucket", database)
    assert () == tuple(server.run("SELECT name FROM meta WHERE value = 'x'", database))


def test_many_claim_the_same(url: str) -> None:
    """Whoever brings the same messages at once, each runs with one of them."""
    names = [make(f"m{number}") for number in range(50)]
    ran: list[str] = []

    def claim(name: str) -> None:
        with MariaDbLedger(url) as mine:
            owner = mine.enroll(name, [ROUTE])
            for _ in range(3):
                run = [c for c in mine.claim(owner, ROUTE, names) if c.outcome is Outcome.RUN]
                ran.extend(c.message.id for c in run)
                mine.settle(owner, [Settlement(c, Verdict.DONE) for c in run])

    MariaDbLedger(url).close()
    threads = [in_thread(lambda name=f"t{n}": claim(name)) for n in range(6)]  # type: ignore[misc]
    for thread in threads:
        thread.join(PATIENCE * 2)
    assert not any(map(threading.Thread.is_alive, threads))
    assert sorted(message.id for message in names) == sorted(ran)
