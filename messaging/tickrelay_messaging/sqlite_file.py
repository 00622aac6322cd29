# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the embedded queue and the embedded ledger have in common: one private, durable SQLite file each."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tickrelay_messaging.errors import (
    ConfigurationError,
    ServiceError,
    StorageCorrupt,
    StorageFull,
)

BUSY_SECONDS = 10.0
"""How long a write waits for another process's write before it gives up."""

FORK_SECONDS = 1.0
"""How long a fork waits for this process's own writes."""

_ASK_AGAIN_SECONDS = 0.005
"""Between two attempts at a lock that SQLite itself doesn't wait for."""

_LOG_PAGES = 8_000
"""
Pages of the log before it is copied into the file (32 MB). Keys are random, so every batch touches other pages; the
default of 1,000 copies a page again and again, which costs a large ledger a third of its time.
"""

_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "lustre",
    "ncpfs",
)
_write_locks: dict[str, threading.Lock] = {}
_registry = threading.Lock()
_held_for_fork: list[threading.Lock] = []


def write_lock(path: Path) -> threading.Lock:
    """
    The lock that this process's threads take before they write to a file.

    SQLite would let them wait for each other by sleeping in steps of up to 100 ms; a lock wakes the next at once.
    """
    with _registry:
        return _write_locks.setdefault(os.path.realpath(path), threading.Lock())


def _let_writers_end() -> None:
    """
    Before a fork. SQLite keeps in memory which locks a process holds, and the child inherits that: forked in the middle
    of a write it would find the file locked for ever. Who forks inside his own transaction waits for nothing.
    """
    locks = list(_write_locks.values())
    _held_for_fork.extend(lock for lock in locks if lock.acquire(timeout=FORK_SECONDS))


def _let_writers_begin() -> None:
    while _held_for_fork:
        _held_for_fork.pop().release()


def _forget_locks() -> None:
    """In the child, where another thread's lock would stay locked for ever."""
    global _registry  # noqa: PLW0603 - it may be held itself
    _registry = threading.Lock()
    _held_for_fork.clear()
    _write_locks.clear()


os.register_at_fork(before=_let_writers_end, after_in_parent=_let_writers_begin, after_in_child=_forget_locks)


def prepare(path: Path) -> None:
    """
    Make the file and its folder private, and refuse a place where SQLite's locks don't work.

    Raises:
        ConfigurationError: the folder is on a network file system.
        OSError: the folder or the file can't be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if kind := network_kind(path.parent):
        raise ConfigurationError(
            f"{path}: lies on a network file system ({kind}), where SQLite's locks can't be trusted; "
            "choose a local disk, or a server broker and ledger"
        )
    # SQLite gives -wal and -shm the mode of the file itself, so that is made first, still empty. Only a file this call
    # has made may be closed here: closing another would drop this process's locks on it (fcntl(2), "record locks").
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def network_kind(folder: Path) -> str | None:
    """The type of the network file system that holds a folder; None if it's local or nobody tells (proc(5))."""
    try:
        mounts = Path("/proc/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return None
    place = Path(os.path.realpath(folder))
    best, kind = "", ""
    for line in mounts:
        _, point, fstype, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if len(point) >= len(best) and place.is_relative_to(point):
            best, kind = point, fstype
    return kind if kind.startswith(_NETWORK) else None


def connect(
    path: Path, application_id: int, unavailable: type[ServiceError] = ServiceError
) -> sqlite3.Connection:
    """
    A connection in autocommit mode, write-ahead log, every commit on disk before it returns.

    Args:
        application_id: marks the file as ours (SQLite's header field); set on an empty file.
        unavailable: what to raise where trying again may help.

    Raises:
        StorageCorrupt: another program's file, or a damaged one.
        ServiceError: it can't be opened now.
    """
    with translated(f"opening {path}", unavailable):
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            _claim_file(connection, path, application_id)
            until_unlocked(lambda: connection.execute("PRAGMA journal_mode=WAL"), BUSY_SECONDS)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            connection.execute("PRAGMA cache_size=-65536")
            connection.execute("PRAGMA temp_store=MEMORY")
        except BaseException:
            connection.close()
            raise
    return connection


def _claim_file(connection: sqlite3.Connection, path: Path, application_id: int) -> None:
    # One statement, so one state of the file: between two, another process may make it ours.
    (found, tables) = connection.execute(
        "SELECT application_id, (SELECT count(*) FROM sqlite_master) FROM pragma_application_id"
    ).fetchone()
    if found == application_id:
        return
    if found or tables:
        raise StorageCorrupt(
            f"{path}: this is another program's SQLite file (or Tickrelay's other one); choose a new path"
        )
    connection.execute(f"PRAGMA application_id={application_id}")


def until_unlocked(attempt: Callable[[], object], patience: float) -> None:
    """
    Try what SQLite refuses at once while another has a lock, again and again for `patience` seconds.

    A change of the journal mode is such a thing: it asks for an exclusive lock without the busy timeout, so of many
    programs that open a new file at once all but one are told "locked" (sqlite.org/c3ref/busy_handler.html: it isn't
    called where that might end in a deadlock).

    Raises:
        sqlite3.OperationalError: it was still locked at the end, or failed for another reason.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            attempt()
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_ASK_AGAIN_SECONDS)
        else:
            return


_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_TOOBIG}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def translate_error(
    error: sqlite3.Error, where: str, unavailable: type[ServiceError] = ServiceError
) -> ServiceError:
    """Our error for SQLite's (result codes: sqlite.org/rescode.html); `unavailable` for what may pass."""
    code = _code(error)
    if code in _FULL:
        return StorageFull(
            f"{where}: the disk is full; nothing of this batch was stored; free space and try again"
        )
    if code in _CORRUPT:
        return StorageCorrupt(
            f"{where}: the file is damaged ({error}); restore it or move it away to start a new one"
        )
    if code in _LOCKED:
        return unavailable(
            f"{where}: another process has locked the file for over {BUSY_SECONDS:g} s; see who holds it"
        )
    return unavailable(f"{where}: {error}; check the disk and the file's permissions")


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 if the driver itself refused."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def translated(where: str, unavailable: type[ServiceError] = ServiceError) -> Iterator[None]:
    """Let no exception of sqlite3 out. A violated constraint or a wrong call is our own bug and stays what it is."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.Error as error:
        raise translate_error(error, where, unavailable) from error
