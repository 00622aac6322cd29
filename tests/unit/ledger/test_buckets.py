# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The tables of ended messages: how many there are, when they go, and that dropping them keeps nobody waiting."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tickrelay_messaging.ledger._sqlite_dropping import drop_in_slices
from tickrelay_messaging.ledger.records import Outcome, Retention, Route, Settlement, Verdict
from tickrelay_messaging.ledger.sql.buckets import MOST, live
from tickrelay_messaging.ledger.sql.known import Mark, differ, digest_of, tag_of
from tickrelay_messaging.ledger.sql.tries import earlier_try
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.testing.ledger_case import Clock, make, outcomes

HOUR = 3600.0
SHORT = Retention(dedup=HOUR, history=HOUR)


@pytest.fixture
def clock() -> Clock:
    """The ledger's clock."""
    return Clock()


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[SqliteLedger]:
    """A ledger by that clock."""
    with SqliteLedger(path, clock) as ledger:
        yield ledger


def tables(path: Path, kind: str) -> set[str]:
    """Which there are in the file."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB ?"
        return {name for (name,) in database.execute(query, (f"{kind}_[0-9]*",))}


def work(ledger: SqliteLedger, route: Route, name: str) -> Outcome:
    """One message, carried out if it's new."""
    owner = ledger.enroll("long", [route], lease=1e9)
    (claim,) = ledger.claim(owner, route, [make(name)])
    if claim.outcome is Outcome.RUN:
        assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.DONE)])
    ledger.retire(owner)
    return claim.outcome


def test_a_group_has_three_tables_at_most(
    path: Path, ledger: SqliteLedger, clock: Clock, route: Route
) -> None:
    """Also one that lags for a week, which keeps what it knows; when it has caught up, all that is old goes at once."""
    for number in range(200):
        work(ledger, route, f"m{number}")
        ledger.sweep({}, SHORT)
        clock.advance(HOUR)
        assert len(tables(path, "done")) <= MOST
    assert {Outcome.DUPLICATE} == {work(ledger, route, f"m{number}") for number in (0, 50, 199)}
    assert ledger.sweep({route.group: clock.now}, SHORT).dedup_buckets >= MOST - 1


def test_while_all_goes_well_three_are_enough(
    path: Path, ledger: SqliteLedger, clock: Clock, route: Route
) -> None:
    """Day in, day out: what is younger than the retention is known, what is older by a bucket is not."""
    for number in range(60):
        assert Outcome.RUN == work(ledger, route, f"m{number}")
        if number >= 5:
            assert Outcome.DUPLICATE == work(ledger, route, f"m{number - 5}")
        clock.advance(600)
        ledger.sweep({route.group: clock.now}, SHORT)
    assert Outcome.RUN == work(ledger, route, "m40")
    # Beside those in use there's one that was retired within the last minute, at most.
    assert len(tables(path, "done")) <= MOST + 1
    assert len(tables(path, "history")) <= MOST + 1


def test_a_retired_table_is_dropped_after_a_while(
    path: Path, ledger: SqliteLedger, clock: Clock, route: Route
) -> None:
    """Those that read it when it was retired may still need it; nobody else looks into it."""
    work(ledger, route, "m")
    (first,) = tables(path, "done")
    clock.advance(100 * HOUR)
    ledger.sweep({route.group: clock.now}, SHORT)
    assert first in tables(path, "done")
    assert Outcome.RUN == work(ledger, route, "m")
    clock.advance(61)
    ledger.sweep({route.group: clock.now}, SHORT)
    assert first not in tables(path, "done")


def test_nobody_ends_after_the_end_of_a_bucket(ledger: SqliteLedger, clock: Clock, route: Route) -> None:
    """However late the next sweep is: whoever writes puts the end off."""
    for number in range(5):
        clock.advance(100 * HOUR)
        work(ledger, route, f"m{number}")
        with ledger.database.read() as connection:
            found = live(connection)
        newest = [found.history[0], *(buckets[0] for buckets in found.marks.values())]
        assert 2 == len([bucket for bucket in newest if bucket.until > clock.now])


def test_an_idle_ledger_makes_no_tables(path: Path, ledger: SqliteLedger, clock: Clock, route: Route) -> None:
    """A bucket that nobody has written to stays."""
    ledger.enroll("long", [route], lease=1e9)
    before = tables(path, "done") | tables(path, "history")
    for _ in range(10):
        clock.advance(HOUR)
        assert 0 == ledger.sweep({route.group: clock.now}, SHORT).dedup_buckets
    assert before == tables(path, "done") | tables(path, "history")


def test_a_large_table_goes_in_many_short_transactions(ledger: SqliteLedger) -> None:
    """Between them others write; an earlier attempt may have got half-way."""
    with ledger.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE large (key INTEGER PRIMARY KEY, text TEXT)")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
        connection.exec_driver_sql(f"INSERT INTO large {numbers} SELECT i, hex(randomblob(20)) FROM n")
    left: list[int] = []

    @contextmanager
    def write() -> Iterator[Connection]:
        with ledger.database.write() as connection:
            left.append(connection.exec_driver_sql("SELECT count(*) FROM large").scalar_one())
            yield connection

    drop_in_slices(write, "large", "key")
    assert len(left) > 1
    assert sorted(left, reverse=True) == left
    with ledger.database.read() as connection:
        assert not connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'large'").all()
    drop_in_slices(ledger.database.write, "large", "key")


@pytest.mark.parametrize(
    ("digest", "known", "contradicts"),
    [
        ("k:aa", "k:aa", False),
        ("k:aa", "k:bb", True),
        ("k:aa", "j:bb", False),
        (None, "k:aa", False),
        ("k:aa", None, False),
    ],
)
def test_a_mark_tells_another_payload(digest: str | None, known: str | None, contradicts: bool) -> None:
    """In 8 bytes, as the whole digest would; under different key ids they say nothing."""
    mark = Mark(b"", 1, digest_of(known), None, 1, 1)
    assert contradicts == differ(digest, mark)
    assert not known or -(2**63) <= (digest_of(known) or 0) < 2**63


@pytest.mark.parametrize("batch", ["b/3", "b/²", "b", "", "c/9", "b/99999999999999"])
def test_an_odd_batch_finds_no_earlier_try(batch: str) -> None:
    """Another batch's, an odd one's, or one that counts too far: its message stays where it is, and quickly so."""
    tag = tag_of("b/2")
    assert tag is not None
    assert ("b/2" if batch == "b/3" else None) == earlier_try(batch, tag)


def test_a_ledger_of_many_groups_keeps_them_apart(ledger: SqliteLedger, clock: Clock) -> None:
    """One table each, and a message done in one is new to the other."""
    routes = [Route("orders", group, "sync") for group in ("a", "b")]
    assert [Outcome.RUN, Outcome.RUN] == [work(ledger, route, "m") for route in routes]
    owner = ledger.enroll("both", routes, lease=1e9)
    assert {Outcome.DUPLICATE} == {
        outcome for route in routes for outcome in outcomes(ledger.claim(owner, route, [make("m")]))
    }
    assert clock.now > 0
