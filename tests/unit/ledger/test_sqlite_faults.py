# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite ledger when its file, its disk or its neighbours misbehave: the right error, and nothing half done."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from tickrelay_messaging import sqlite_file
from tickrelay_messaging.errors import (
    ConfigurationError,
    LedgerUnavailable,
    StorageCorrupt,
)
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter, Outcome, Owner, Route, Settlement, State, Verdict
from tickrelay_messaging.ledger.sqlite import APPLICATION_ID, SqliteLedger
from tickrelay_messaging.message import Message


def some(count: int, size: int = 10) -> list[Message]:
    """Messages m0, m1... with bodies of so many bytes."""
    return [Message(id=f"m{number}", body=b"x" * size) for number in range(count)]


def dump(path: Path) -> list[str]:
    """The whole file as statements."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are given up on soon."""
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.2)


def test_files_are_private(ledger: SqliteLedger, owner: Owner, path: Path) -> None:
    """File, log, index and bells are their owner's only."""
    ledger.wait(0)
    files = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
    folders = [path.parent, path.with_name("ledger.db.bells"), *path.with_name("ledger.db.bells").iterdir()]
    pipes = list(path.with_name("ledger.db.bells").glob("*/*"))
    assert {0o600} == {stat.S_IMODE(name.stat().st_mode) for name in (*files, *pipes)}
    assert {0o700} == {stat.S_IMODE(name.stat().st_mode) for name in folders}


def test_another_version_is_left_alone(path: Path) -> None:
    """A ledger that another version made is refused and not changed by a byte."""
    SqliteLedger(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name IN ('schema', 'oldest')")
        connection.execute("DROP TABLE mailbox")
    before = dump(path)
    with pytest.raises(StorageCorrupt, match="version 99"):
        SqliteLedger(path)
    assert before == dump(path)


def test_another_programs_file_is_left_alone(path: Path) -> None:
    """Somebody's SQLite file is refused and not changed."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StorageCorrupt, match="another program's"):
        SqliteLedger(path)
    assert before == path.read_bytes()


def test_no_sqlite_file(path: Path) -> None:
    """A file that isn't SQLite's is refused and not changed."""
    path.parent.mkdir()
    path.write_bytes(b"once upon a time " * 1_000)
    with pytest.raises(StorageCorrupt):
        SqliteLedger(path)
    assert b"once upon a time " * 1_000 == path.read_bytes()


@pytest.mark.parametrize("url", ["sqlite://", "mongodb://x", "sqlite:////dev/null/x/l.db"])
def test_bad_urls(url: str) -> None:
    """A URL without a file, of another scheme, or of an impossible place is the caller's mistake."""
    with pytest.raises(ConfigurationError):
        open_ledger(url)


def test_a_damaged_file(ledger: SqliteLedger, owner: Owner, route: Route, path: Path) -> None:
    """Pages that hold garbage are an error in our words, whichever verb meets them."""
    ledger.settle(
        owner, [Settlement(claim, Verdict.DONE) for claim in ledger.claim(owner, route, some(2_000))]
    )
    ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    for call in (
        lambda: ledger.claim(owner, route, some(1)),
        ledger.history.stats,
        lambda: ledger.dead_letters.list(DeadFilter()),
        lambda: SqliteLedger(path),
    ):
        with pytest.raises(StorageCorrupt):
            call()


@pytest.mark.usefixtures("impatient")
def test_a_locked_file(path: Path, route: Route) -> None:
    """While another process writes for too long nothing was claimed or settled; afterwards the same call works."""
    with SqliteLedger(path) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        owner = ledger.enroll("one", [route])
        (claim,) = ledger.claim(owner, route, some(1))
        blocker.execute("BEGIN IMMEDIATE")
        for call in (
            lambda: ledger.claim(owner, route, some(2)),
            lambda: ledger.settle(owner, [Settlement(claim, Verdict.DONE)]),
            lambda: ledger.enroll("two", [route]),
            lambda: ledger.transaction(owner, [claim]).__enter__(),
        ):
            with pytest.raises(LedgerUnavailable, match="locked"):
                call()
        blocker.execute("ROLLBACK")
        assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.DONE)])
        assert [Outcome.DUPLICATE, Outcome.RUN] == [
            one.outcome for one in ledger.claim(owner, route, some(2))
        ]


@pytest.mark.usefixtures("impatient")
def test_a_file_locked_while_opening(path: Path) -> None:
    """Opening tells that the ledger can't be had now, not that it is broken."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnavailable):
            SqliteLedger(path)
        blocker.execute("ROLLBACK")
    SqliteLedger(path).close()


def test_a_new_file_read_by_another_while_opening(path: Path) -> None:
    """SQLite changes a file's journal mode at once or not at all; who opens it tries until the other has read."""
    path.parent.mkdir()
    with (
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as reader,
        ThreadPoolExecutor(1) as pool,
    ):
        reader.executescript(f"PRAGMA application_id={APPLICATION_ID}; BEGIN; SELECT * FROM sqlite_master;")
        opening = pool.submit(lambda: SqliteLedger(path).close())
        refused, _ = wait([opening], timeout=0.2)
        reader.execute("ROLLBACK")
        assert not refused
        opening.result(timeout=30)


@pytest.mark.usefixtures("impatient")
def test_a_hanging_transaction_blocks_nobody_for_ever(
    ledger: SqliteLedger, owner: Owner, route: Route
) -> None:
    """Whoever must notice that a handler hangs gets an error after a while, not a wait without end."""
    (claim,) = ledger.claim(owner, route, some(1))
    began, end = threading.Event(), threading.Event()

    def hang() -> None:
        with ledger.transaction(owner, [claim]) as transaction, transaction.message([claim]):
            began.set()
            end.wait(20)

    thread = threading.Thread(target=hang)
    thread.start()
    began.wait(20)
    with pytest.raises(LedgerUnavailable, match="hangs"):
        ledger.renew(owner)
    end.set()
    thread.join(20)
    assert State.DONE == ledger.history.life("m0")[0].state


def test_one_ledger_by_any_name(
    path: Path, tmp_path: Path, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a symbolic link, or by a relative path before the process changed its folder: the living are seen to live."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to(path)
    with SqliteLedger(Path("private/ledger.db")) as ledger, SqliteLedger(tmp_path / "link.db") as other:
        monkeypatch.chdir("/")
        owner = ledger.enroll("one", [route])
        assert [True, 0, other.id] == [ledger.history.consumers()[0].alive, other.reap(), ledger.id]
        ledger.renew(owner)
