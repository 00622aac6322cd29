# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker when its file or its disk misbehaves: the right error, and nothing confirmed is lost."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.brokers.sqlite_lab import drain, some

from tickrelay_messaging import sqlite_file
from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.sqlite import SqliteBroker
from tickrelay_messaging.brokers.sqlite import store as store_module
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    ConfigurationError,
    PublishUnconfirmed,
    StorageCorrupt,
    StorageFull,
    UnknownQueue,
)
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._children import forked


def publish_until(broker: SqliteBroker, error: type[Exception], batch: list[Message]) -> int:
    """How many batches were confirmed before the error came."""
    confirmed = 0
    with pytest.raises(error, match="no space left"):  # noqa: PT012 - that's the question
        while confirmed < 10_000:
            broker.publish("q", batch)
            confirmed += 1
    return confirmed


def test_files_are_private(broker: SqliteBroker, path: Path) -> None:
    """File, log, index and bells are readable by their owner only, whatever the umask."""
    with broker.subscribe("q"):
        names = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
        assert [0o600] * 3 == [stat.S_IMODE(name.stat().st_mode) for name in names]
        folders = [path.parent, path.with_name("queues.db.bells"), path.with_name("queues.db.bells") / "q"]
        assert [0o700] * 3 == [stat.S_IMODE(folder.stat().st_mode) for folder in folders]
        bells = list(folders[-1].iterdir())
        assert [0o600] == [stat.S_IMODE(bell.stat().st_mode) for bell in bells]


def test_a_full_database_refuses_the_whole_batch(broker: SqliteBroker) -> None:
    """StorageFull stores nothing of its batch, keeps what was confirmed, and passes once there is room."""
    broker.publish("q", some(10))
    with broker._store.read() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages + 8}")
    with pytest.raises(StorageFull, match=r"queues\.db: no space left"):
        broker.publish("q", some(500, 1000))
    assert 10 == broker.stats("q")[0].ready
    with broker.subscribe("q") as subscription:
        assert 10 == len(drain(subscription))
    broker.publish("q", some(10))
    assert 10 == broker.stats("q")[0].ready


def test_a_later_chunk_that_fails_is_named_exactly(broker: SqliteBroker) -> None:
    """When a later transaction fails, the ids without a confirmation are those not on the queue."""
    with broker._store.read() as db:
        db.execute("PRAGMA max_page_count=400")
    messages = some(3000, 500)
    with pytest.raises(PublishUnconfirmed) as caught:
        broker.publish("q", messages)
    stored = broker.stats("q")[0].ready
    assert 0 < stored < 3000
    assert tuple(message.id for message in messages[stored:]) == caught.value.ids
    assert isinstance(caught.value.__cause__, StorageFull)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_can_be_emptied(small_disk: Path) -> None:
    """On a full disk consumers still get and acknowledge all messages, and then there is room again."""
    with SqliteBroker(small_disk / "q.db") as broker:
        broker.declare(QueueSpec("q"))
        confirmed = publish_until(broker, StorageFull, some(100, 1000))
        assert confirmed > 0
        with broker.subscribe("q") as subscription:
            assert confirmed * 100 == len(drain(subscription))
        broker.publish("q", some(100, 1000))
        assert 100 == broker.stats("q")[0].ready


def test_a_file_size_limit_is_a_full_disk(path: Path) -> None:
    """EFBIG, which SQLite calls an I/O error, is StorageFull too."""

    def work(say: Callable[[], None]) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        with SqliteBroker(path) as broker:
            broker.declare(QueueSpec("q"))
            assert publish_until(broker, StorageFull, some(20, 1000)) > 0

    with forked(work) as child:
        assert 0 == child.join()


def test_a_locked_file_is_named(broker: SqliteBroker, path: Path) -> None:
    """While another process writes for too long, publishing fails at its deadline, and works later."""

    def hold(say: Callable[[], None]) -> None:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        say()
        signal.pause()

    with forked(hold) as child:
        child.wait_until_said()
        start = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=r"queues\.db: locked by another process"):
            broker.publish("q", some(1), timeout=0.3)
        assert 0.25 <= time.monotonic() - start < 5
        assert 0 == broker.stats("q")[0].ready
    broker.publish("q", some(1))
    assert 1 == broker.stats("q")[0].ready


def test_overwritten_pages_are_reported(path: Path) -> None:
    """A file whose pages were overwritten is StorageCorrupt, by name, and trying again isn't advised."""
    with SqliteBroker(path) as broker:
        broker.declare(QueueSpec("q"))
        broker.publish("q", some(200, 500))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StorageCorrupt, match=r"queues\.db: .*backup") as caught, SqliteBroker(path) as broker:
        broker.peek("q")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "content", [b"just some text\n", b"x" * 10_000, os.urandom(100)], ids=["text", "long", "random"]
)
def test_another_kind_of_file_is_refused(path: Path, content: bytes) -> None:
    """A file that is no SQLite file is refused and left as it is."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageCorrupt, match=r"queues\.db: this is no SQLite file"):
        SqliteBroker(path)
    assert content == path.read_bytes()


@pytest.mark.parametrize("script", ["CREATE TABLE t (x)", "PRAGMA user_version=3", "PRAGMA application_id=7"])
def test_another_programs_database_is_refused(path: Path, script: str) -> None:
    """Another program's SQLite file is refused and left as it is."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.executescript(script)
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageCorrupt, match=r"queues\.db: is an SQLite file of another program"):
        SqliteBroker(path)
    assert before == path.read_bytes()


@pytest.fixture
def unprivileged() -> Callable[[Callable[[], None]], int]:
    """Runs a check in a child that isn't root; gives its exit status."""

    def run(check: Callable[[], None]) -> int:
        def work(say: Callable[[], None]) -> None:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            check()

        with forked(work) as child:
            return child.join()

    return run


def test_a_read_only_folder_is_named(unprivileged: Callable[[Callable[[], None]], int]) -> None:
    """Where nothing may be written, the error names the file and says what to check."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        path = Path(folder, "q.db")

        def check() -> None:
            with pytest.raises(BrokerUnavailable, match=r"q\.db: .*[Pp]ermission"):
                SqliteBroker(path)

        assert 0 == unprivileged(check)


def test_a_read_only_file_is_named(unprivileged: Callable[[Callable[[], None]], int]) -> None:
    """A file that may be read but not written refuses to publish."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "q.db")
        with SqliteBroker(path) as broker:
            broker.declare(QueueSpec("q"))
        os.chmod(path, 0o444)
        os.chmod(folder, 0o555)

        def check() -> None:
            with pytest.raises(BrokerUnavailable, match=r"q\.db: ") as caught, SqliteBroker(path) as broker:
                broker.publish("q", some(1))
            assert "check" in str(caught.value)

        assert 0 == unprivileged(check)


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    """A path that is a folder, or lies under a file, can't be opened."""
    with pytest.raises(BrokerUnavailable, match="check that its folder"):
        SqliteBroker(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerUnavailable, match=r"file/q\.db"):
        SqliteBroker(tmp_path / "file" / "q.db")


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks can't be trusted nothing is made."""
    monkeypatch.setattr(sqlite_file, "network_kind", lambda folder: "nfs4")
    with pytest.raises(ConfigurationError, match=r"network file system \(nfs4\)"):
        SqliteBroker(path)
    assert not path.exists()


def test_a_failing_disk_at_commit_confirms_nothing(
    broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the commit itself fails nothing is known, so the messages are named as unconfirmed."""

    def fail(self: store_module.Store, db: sqlite3.Connection) -> None:
        raise store_module.CommitUnknown("disk I/O error")

    monkeypatch.setattr(store_module.Store, "_commit", fail)
    with pytest.raises(PublishUnconfirmed) as caught:
        broker.publish("q", some(3))
    assert ("m0", "m1", "m2") == caught.value.ids


def test_a_file_taken_away_confirms_nothing_into_the_void(broker: SqliteBroker, path: Path) -> None:
    """After its file was removed, the broker doesn't go on writing to a file nobody can find."""
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    with pytest.raises(UnknownQueue):
        broker.publish("q", some(1))
    broker.declare(QueueSpec("q"))
    broker.publish("q", some(1))
    assert 1 == broker.stats("q")[0].ready
