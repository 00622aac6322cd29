# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL ledger when its server goes away, refuses, or is used by many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from tests.services.postgres import Postgres, running_postgres

from tickrelay_messaging.errors import CallerError, ClaimLost, ConfigurationError, LedgerUnavailable
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.postgres import PostgresLedger
from tickrelay_messaging.ledger.records import Outcome, Retention, Route, Settlement, State, Verdict
from tickrelay_messaging.testing.ledger_case import LEASE, PATIENCE, Clock, in_thread, make, outcomes, some

ROUTE = Route("orders", "default", "sync")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server, which some tests kill and start again."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def url(server: Postgres) -> str:
    """An empty database."""
    return server.new_database()


def test_its_url_opens_it(url: str) -> None:
    """Both of libpq's schemes lead to the same ledger."""
    with open_ledger(url) as first, open_ledger(url.replace("postgresql:", "postgres:")) as second:
        assert isinstance(first, PostgresLedger)
        assert first.id == second.id


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("postgresql://postgres@127.0.0.1:{port}/nowhere", 'database "nowhere" does not exist'),
        ("postgresql://nobody:hunter2@127.0.0.1:{port}/postgres", 'role "nobody" does not exist'),
        ("postgresql://postgres:hunter2@127.0.0.1:{port}/postgres?sslmode=require", "SSL"),
        ("postgresql://postgres:hunter2@127.0.0.1:{port}/postgres?nonsense=1", "nonsense"),
    ],
)
def test_a_refusal_is_final(server: Postgres, wrong: str, told: str) -> None:
    """What trying again can't mend is a mistake in the configuration, told without the password."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        open_ledger(wrong.format(port=server.port))
    assert "hunter2" not in str(caught.value)


def test_nobody_there() -> None:
    """A server that can't be reached may be there later."""
    with pytest.raises(LedgerUnavailable):
        open_ledger("postgresql://postgres@127.0.0.1:1/postgres")


def test_a_killed_server_comes_back(server: Postgres, url: str) -> None:
    """Calls fail as unavailable while it's away; then they work again, and what was confirmed is there."""
    with PostgresLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(3))
        assert [True] == ledger.settle(owner, [Settlement(claims[0], Verdict.DONE)])
        assert ledger.wait(0)
        server.crash()
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


def test_handlers_work_side_by_side(url: str) -> None:
    """A handler's transaction that lasts keeps nobody from claiming, settling, or running another one."""
    with PostgresLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        first, second, third = ledger.claim(owner, ROUTE, some(3))
        with ledger.transaction(owner, [first]) as slow, slow.message([first]):
            with ledger.transaction(owner, [second]) as quick, quick.message([second]):
                quick.connection.execute(text("CREATE TABLE beside (what TEXT)"))
            assert [True] == ledger.settle(owner, [Settlement(third, Verdict.DONE)])
            assert [Outcome.RUN] == [c.outcome for c in ledger.claim(owner, ROUTE, [make("new")])]
        assert [3] == [stats.done for stats in ledger.history.stats()]


def test_a_zombies_transaction_is_undone(url: str) -> None:
    """Who was taken for dead while its handler worked can't commit: neither effect nor mark."""
    clock = Clock()
    with PostgresLedger(url, clock) as ledger:
        owner = ledger.enroll("one", [ROUTE], lease=LEASE)
        claims = ledger.claim(owner, ROUTE, some(1))
        with pytest.raises(ClaimLost), ledger.transaction(owner, claims) as zombie, zombie.message(claims):  # noqa: PT012
            zombie.connection.execute(text("CREATE TABLE effects (what TEXT)"))
            clock.advance(LEASE + 1)
            assert 1 == ledger.reap()
        with psycopg.connect(url) as raw:
            assert [(None,)] == raw.execute("SELECT to_regclass('effects')").fetchall()
        assert [State.WAITING] == [life.state for life in ledger.history.life("m0")]


def test_a_swallowed_error_is_no_success(url: str) -> None:
    """After a statement failed, later ones do nothing: a handler that goes on all the same isn't done."""
    with PostgresLedger(url) as ledger:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(2))
        with ledger.transaction(owner, claims) as transaction:
            with (
                pytest.raises(CallerError, match="begin_nested"),
                transaction.message([claims[0]]),
                suppress(Exception),
            ):
                transaction.connection.execute(text("SELECT nonsense"))
            with transaction.message([claims[1]]):
                transaction.connection.execute(text("SELECT 1"))
        assert [True, False] == ledger.settle(owner, [Settlement(claim, Verdict.DONE) for claim in claims])


def test_a_lost_transaction_is_no_handlers_failure(url: str) -> None:
    """Where the database ended the transaction itself, a message's share says so, whatever its handler raised."""
    with PostgresLedger(url) as ledger, psycopg.connect(url, autocommit=True) as raw:
        owner = ledger.enroll("one", [ROUTE])
        claims = ledger.claim(owner, ROUTE, some(1))
        with pytest.raises(LedgerUnavailable), ledger.transaction(owner, claims) as lost:  # noqa: PT012
            number = lost.connection.execute(text("SELECT pg_backend_pid()")).scalar()
            with pytest.raises(LedgerUnavailable, match="ended the transaction"), lost.message(claims):  # noqa: PT012
                raw.execute("SELECT pg_terminate_backend(%s, 5000)", (number,))
                lost.connection.execute(text("SELECT 1"))
        assert [True] == ledger.settle(owner, [Settlement(claims[0], Verdict.DONE)])


def test_many_claim_the_same(url: str) -> None:
    """Whoever brings the same messages at once, each runs with one of them."""
    names = [make(f"m{number}") for number in range(50)]
    ran: list[str] = []

    def claim(name: str) -> None:
        with PostgresLedger(url) as mine:
            owner = mine.enroll(name, [ROUTE])
            for _ in range(3):
                run = [c for c in mine.claim(owner, ROUTE, names) if c.outcome is Outcome.RUN]
                ran.extend(c.message.id for c in run)
                mine.settle(owner, [Settlement(c, Verdict.DONE) for c in run])

    PostgresLedger(url).close()
    threads = [in_thread(lambda name=f"t{n}": claim(name)) for n in range(6)]  # type: ignore[misc]
    for thread in threads:
        thread.join(PATIENCE * 2)
    assert not any(map(threading.Thread.is_alive, threads))
    assert sorted(message.id for message in names) == sorted(ran)


def test_a_password_in_the_file_of_its_own(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libpq reads beside the URL, such as a password file, counts here too."""
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:*:hunter2\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    with PostgresLedger(url) as ledger:
        assert ledger.id


def columns(url: str) -> set[tuple[object, ...]]:
    """What a database has: tables, columns, types, indexes."""
    with psycopg.connect(url) as raw:
        found = raw.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'public'"
        ).fetchall()
        return {
            *found,
            *raw.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'").fetchall(),
        }


def test_an_older_version_is_migrated(url: str, server: Postgres) -> None:
    """By the one program of many that comes first; what it had is there, and it's as if it had been made today."""
    with PostgresLedger(url) as ledger:
        made = ledger.id
        owner = ledger.enroll("one", [ROUTE])
        done, _ = ledger.claim(owner, ROUTE, [make("done"), make("m")])
        ledger.settle(owner, [Settlement(done, Verdict.DONE)])
    with psycopg.connect(url) as raw:  # back to version 1
        for statement in (
            *(
                f"DROP TABLE {table}"
                for table in ("revocations", "steps", "outbox", "ticks", "schedules", "buckets", "done_2")
            ),
            "DROP INDEX history_1_batch",
            "ALTER TABLE history_1 RENAME TO history",
            "CREATE INDEX history_batch ON history (batch) WHERE batch IS NOT NULL",
            "CREATE TABLE done (key bytea PRIMARY KEY, history bigint NOT NULL)",
            "INSERT INTO done SELECT key, number FROM history",
            "DROP INDEX active_order",
            *(
                f"ALTER TABLE active DROP COLUMN {name}"
                for name in ("order_key", "position", "rule", "ambiguous", "stepped")
            ),
            "ALTER TABLE tallies DROP COLUMN skipped",
            "DELETE FROM meta WHERE name = 'oldest'",
            "UPDATE meta SET value = '1' WHERE name = 'schema'",
        ):
            raw.execute(statement)
    with PostgresLedger(url) as ledger:
        assert (made, State.CLAIMED) == (ledger.id, ledger.history.life("m")[0].state)
        owner = ledger.enroll("two", [ROUTE])
        assert [Outcome.DUPLICATE] == outcomes(ledger.claim(owner, ROUTE, [make("done")]))
    fresh = server.new_database()
    with PostgresLedger(fresh) as ledger:
        ledger.enroll("one", [ROUTE])
    assert columns(fresh) == columns(url)


def test_a_reader_only_puts_the_dropping_off(url: str) -> None:
    """Whoever is in the middle of a retired table: nobody else waits for it, and the next sweep drops it."""
    clock = Clock()
    with PostgresLedger(url, clock) as ledger, psycopg.connect(url) as reader:
        owner = ledger.enroll("one", [ROUTE], lease=1e9)
        ledger.settle(
            owner, [Settlement(claim, Verdict.DONE) for claim in ledger.claim(owner, ROUTE, [make("m")])]
        )
        reader.execute("SELECT * FROM done_2")
        clock.advance(1e6)
        assert 1 == ledger.sweep({ROUTE.group: clock.now}, Retention()).dedup_buckets
        clock.advance(61)
        ledger.sweep({ROUTE.group: clock.now}, Retention())
        assert [Outcome.RUN] == outcomes(ledger.claim(owner, ROUTE, [make("m")]))
        assert "done_2" in {row[0] for row in columns(url)}
        reader.rollback()
        ledger.sweep({ROUTE.group: clock.now}, Retention())
        assert "done_2" not in {row[0] for row in columns(url)}
