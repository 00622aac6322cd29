# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A file of an earlier version is brought up to date, with everything in it; one of a later version isn't touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.unit.brokers.sqlite_lab import some

from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.sqlite import SqliteBroker, headers, schema
from tickrelay_messaging.errors import StorageCorrupt
from tickrelay_messaging.testing._children import forked


@pytest.fixture
def former(path: Path) -> Path:
    """A file as version 1 left it: a queue `q`, m0 acknowledged, m1 given back, m2 never handed out."""
    path.parent.mkdir(mode=0o700)
    db = sqlite3.connect(path)
    db.executescript(
        f"PRAGMA journal_mode=WAL; {schema._FIRST}"
        f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = 1;"
    )
    start = 1 << 40
    db.execute("INSERT INTO queues VALUES (1, 'q', ?)", (start + 3,))
    db.execute("INSERT INTO groups VALUES (1, 1, 'default', ?)", (start + 2,))
    rows = [(start + n, 1_800_000_000.0, headers.write(m), m.body) for n, m in enumerate(some(3), 1)]
    db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", rows[1:])
    db.execute("INSERT INTO in_flight VALUES (1, ?, 0)", (start + 2,))
    db.commit()
    db.close()
    return path


def test_a_former_file_is_brought_up_to_date(former: Path) -> None:
    """Its messages come in their order, marked as they were; then it can have queues with lanes."""
    with SqliteBroker(former) as broker:
        assert [QueueSpec("q")] == broker.queues()
        with broker.subscribe("q") as subscription:
            got = subscription.receive(10)
            assert [("m1", True), ("m2", False)] == [(d.headers["ce_id"], d.redelivered) for d in got]
            subscription.acknowledge(got)
        broker.declare(QueueSpec("lanes", lanes=4))
        broker.publish("lanes", some(5))
        with broker.subscribe("lanes") as subscription:
            assert 5 == len(subscription.receive(10))


def test_many_processes_may_bring_a_file_up_to_date(former: Path) -> None:
    """Whoever comes first does it, the others wait."""

    def work(say: Callable[[], None]) -> None:
        with SqliteBroker(former) as broker:
            broker.publish("q", some(10))

    with ExitStack() as stack:
        children = [stack.enter_context(forked(work)) for _ in range(5)]
        assert [0] * 5 == [child.join() for child in children]
    with SqliteBroker(former) as broker:
        assert 52 == broker.stats("q")[0].ready


def test_all_ways_lead_to_one_schema(former: Path, tmp_path: Path) -> None:
    """An older file that was brought up to date is the same as a new one."""
    found = []
    for path in (former, tmp_path / "new.db"):
        SqliteBroker(path).close()
        db = sqlite3.connect(path)
        found.append(db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall())
        assert schema.VERSION == db.execute("PRAGMA user_version").fetchone()[0]
        db.close()
    assert found[0] == found[1]


def test_a_newer_format_is_refused(former: Path) -> None:
    """A file of a later Tickrelay isn't touched."""
    db = sqlite3.connect(former)
    db.execute("PRAGMA user_version=99")
    db.close()
    before = former.read_bytes()
    with pytest.raises(StorageCorrupt, match="another version of Tickrelay"):
        SqliteBroker(former)
    assert before == former.read_bytes()
