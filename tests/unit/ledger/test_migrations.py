# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ledgers made by older programs, and by newer ones. `schema_1.sql` is the dump of a ledger that version 1 had made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tickrelay_messaging.errors import StorageCorrupt
from tickrelay_messaging.ledger.records import DeadFilter, KeyRule, Outcome, Route, State
from tickrelay_messaging.ledger.sql.tables import SCHEMA_VERSION
from tickrelay_messaging.ledger.sqlite import APPLICATION_ID, SqliteLedger
from tickrelay_messaging.testing.ledger_case import START, Clock, ids, make, outcomes

ROUTE = Route("orders", "default", "sync")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of version 1: one message done, one dead, one waiting, one for later, one in a dead consumer's hands."""
    path = tmp_path / "old.db"
    script = Path(__file__).with_name("schema_1.sql").read_text()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
        database.execute(f"PRAGMA application_id={APPLICATION_ID}")
    return path


@pytest.fixture
def clock() -> Clock:
    """Beyond everything's due time, and the dead consumer's lease."""
    clock = Clock()
    clock.advance(120)
    return clock


@pytest.fixture
def migrated(old: Path, clock: Clock) -> Iterator[SqliteLedger]:
    """Opened by this program."""
    with SqliteLedger(old, clock) as ledger:
        yield ledger


def schema_of(path: Path) -> dict[str, set[tuple[object, ...]]]:
    """Columns by table, and indexes: what a statement can tell of a schema."""
    with closing(sqlite3.connect(path)) as database:
        named = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')").fetchall()
        return {
            name: {
                (column, kind.replace("VARCHAR", "TEXT"), required, default, bool(key))
                for _, column, kind, required, default, key in database.execute(f"PRAGMA table_info({name})")
            }
            for (name,) in named
            if not name.startswith("sqlite_")
        }


def set_meta(path: Path, **values: object) -> None:
    """As another program would have left it."""
    with closing(sqlite3.connect(path)) as database, database:
        for name, value in values.items():
            database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, str(value)))


def test_nothing_is_lost(migrated: SqliteLedger, clock: Clock) -> None:
    """Done stays a duplicate, dead is listed, what waited runs, what a dead one held is its successor's."""
    owner = migrated.enroll("two", [ROUTE])
    assert [Outcome.DUPLICATE] == outcomes(migrated.claim(owner, ROUTE, [make("done")]))
    assert ["dead"] == [letter.message_id for letter in migrated.dead_letters.list(DeadFilter())]
    assert ["waiting", "later"] == ids(migrated.claim_due(owner, ROUTE, 10))
    assert 1 == migrated.reap()
    assert [Outcome.PARKED] == outcomes(migrated.claim(owner, ROUTE, [make("claimed")]))
    assert ["claimed"] == ids(migrated.claim_due(owner, ROUTE, 10, suspects=True))
    (progress,) = migrated.batches.progress("b", "default")
    assert (5, 1, 1) == (progress.count, progress.done, progress.dead)
    assert State.DONE == migrated.history.life("done")[0].state
    assert clock.now > START


def test_done_messages_keep_what_is_needed_of_them(old: Path, clock: Clock) -> None:
    """Another payload is told from a duplicate, and a later try of the publisher gets what it brings again."""
    with closing(sqlite3.connect(old)) as database, database:
        database.execute("UPDATE history SET digest = 'k:aa' WHERE message_id = 'done'")
    with SqliteLedger(old, clock) as ledger:
        owner = ledger.enroll("two", [ROUTE])
        other, same = make("done", digest="k:bb"), make("done", digest="k:aa", batch="b/2")
        assert [Outcome.MISMATCH] == outcomes(ledger.claim(owner, ROUTE, [other]))
        info = ledger.batches.find(dag_id="d", run_id="r")[0].info
        assert 2 == ledger.batches.open(info)
        assert [Outcome.DUPLICATE] == outcomes(ledger.claim(owner, ROUTE, [same]))
        assert 1 == ledger.batches.progress("b", "default")[0].done


def test_what_is_new_works(migrated: SqliteLedger) -> None:
    """Rules that version 1 didn't know."""
    owner = migrated.enroll("two", [ROUTE])
    claims = migrated.claim(owner, ROUTE, [make("a"), make("b")], rule=KeyRule.SINGLETON)
    assert [Outcome.RUN, Outcome.SKIPPED] == outcomes(claims)
    assert [] == migrated.revocations.list()


def test_a_migrated_ledger_is_as_a_new_one(old: Path, tmp_path: Path) -> None:
    """Column by column and index by index."""
    for path in (old, tmp_path / "new.db"):
        with SqliteLedger(path) as ledger:
            ledger.enroll("two", [ROUTE])  # whose group gets its table
    assert schema_of(tmp_path / "new.db") == schema_of(old)


def test_one_of_many_migrates(old: Path) -> None:
    """However many programs open it at once, it's done once, and all of them get the same ledger."""

    def look(_: int) -> str:
        with SqliteLedger(old) as ledger:
            return ledger.id

    with ThreadPoolExecutor(8) as pool:
        assert 1 == len(set(pool.map(look, range(16))))


def test_a_newer_ledger_that_allows_it_is_used(old: Path) -> None:
    """While a new program is rolled out, the old one works beside it."""
    SqliteLedger(old).close()
    set_meta(old, schema=SCHEMA_VERSION + 1, oldest=SCHEMA_VERSION)
    with SqliteLedger(old) as ledger:
        assert [] == ledger.revocations.list()


def test_a_newer_ledger_that_forbids_it_is_refused(old: Path) -> None:
    """Told by version, what to do included; the file is left as it is."""
    SqliteLedger(old).close()
    set_meta(old, schema=SCHEMA_VERSION + 1, oldest=SCHEMA_VERSION + 1)
    before = schema_of(old)
    with pytest.raises(StorageCorrupt, match=f"version {SCHEMA_VERSION + 1}, this program speaks"):
        SqliteLedger(old)
    assert before == schema_of(old)
