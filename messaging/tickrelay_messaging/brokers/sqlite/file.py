# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker's file: made private, recognised as ours, and its errors in our words."""

from __future__ import annotations

import os
import resource
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from tickrelay_messaging import sqlite_file
from tickrelay_messaging.errors import BrokerUnavailable, ServiceError, StorageCorrupt, StorageFull

APPLICATION_ID = 0x54525131
"""`TRQ1`, in bytes 68-71 of the file: which program an SQLite file belongs to."""
VERSION = 1
PATIENCE = 10.0
"""Longest wait in seconds for another process that writes."""
PAGE = 4096
RESERVE = 12 << 20
"""Bytes of the disk that publishing leaves alone: a log of 1,000 pages, its checkpoint, and some."""

# A position is `queue << 40 | number`, numbers running 1, 2, 3... in each queue. So a queue's messages lie
# together and need no second index, what is ready is a subtraction, and no position ever comes twice.
# A message's row exists exactly as long as some group still needs it.
_SCHEMA = f"""
CREATE TABLE queues (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT NULL);
CREATE TABLE groups (
  id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, name TEXT NOT NULL, cursor INTEGER NOT NULL,
  UNIQUE (queue, name));
CREATE TABLE messages (
  position INTEGER PRIMARY KEY, published_at REAL NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE subscriptions (id INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL, bell TEXT NOT NULL);
CREATE TABLE in_flight (
  grp INTEGER NOT NULL, position INTEGER NOT NULL, owner INTEGER NOT NULL,
  PRIMARY KEY (grp, position)) WITHOUT ROWID;
CREATE INDEX given_back ON in_flight (grp, position) WHERE owner = 0;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

_KINDS: tuple[tuple[str, type[ServiceError], str], ...] = (
    ("SQLITE_FULL", StorageFull, "no space left; free some, nothing of this was stored"),
    ("SQLITE_BUSY", BrokerUnavailable, "locked by another process for too long; see who holds it (fuser)"),
    ("SQLITE_LOCKED", BrokerUnavailable, "locked by another process for too long; see who holds it (fuser)"),
    (
        "SQLITE_CORRUPT",
        StorageCorrupt,
        "the file is damaged; stop, keep a copy, and restore it from a backup",
    ),
    ("SQLITE_NOTADB", StorageCorrupt, "this is no SQLite file; name another path"),
    ("SQLITE_READONLY", BrokerUnavailable, "may not be written; check the owner and mode of file and folder"),
    (
        "SQLITE_CANTOPEN",
        BrokerUnavailable,
        "can't be opened; check that its folder exists and may be written",
    ),
)


def in_our_words(error: Exception, path: Path) -> ServiceError:
    """The error to raise instead of SQLite's or the operating system's."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_IOERR") and _no_room(path):
        name = "SQLITE_FULL"
    for start, ours, advice in _KINDS:
        if name.startswith(start):
            return ours(f"{path}: {advice} ({error})")
    return BrokerUnavailable(f"{path}: can't be used: {error}")


def _no_room(path: Path) -> bool:
    """A write past the file-size limit, which SQLite doesn't tell from a broken disk."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    sizes = (os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name))
    return any(size > limit - (1 << 16) for size in sizes)


def check_room(db: sqlite3.Connection, path: Path, size: int) -> None:
    """
    Keep some of the disk free of messages: acknowledging needs room too, and is what makes room again.

    Args:
        size: bytes about to be published.

    Raises:
        StorageFull: less would be left than the write-ahead log may need.
    """
    disk = os.statvfs(path)
    reserve = min(RESERVE, disk.f_blocks * disk.f_frsize // 4)
    left = disk.f_bavail * disk.f_frsize
    if left < size + reserve and db.execute("PRAGMA freelist_count").fetchone()[0] * PAGE < 2 * size:
        raise StorageFull(
            f"{path}: no space left; free some, nothing of this was stored "
            f"({left:,} bytes are left on its disk, "
            f"of which {reserve:,} are kept for consumers to acknowledge with)"
        )


def connect(path: Path) -> sqlite3.Connection:
    """
    A connection to our file, which is made if missing.

    Raises:
        BrokerUnavailable: it can't be made or opened.
        ConfigurationError: it lies on a network file system.
        StorageCorrupt: it's damaged, or another program's.
    """
    try:
        sqlite_file.prepare(path)
        db = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
    except (OSError, sqlite3.Error) as error:
        raise in_our_words(error, path) from error
    try:
        _prepare(db, path)
    except sqlite3.Error as error:
        db.close()
        raise in_our_words(error, path) from error
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    # It must be known whose file this is before anything is changed, and at one moment: another process
    # may be making it just now.
    db.execute("BEGIN")
    try:
        ours = _is_ours(db, path)
    finally:
        db.execute("ROLLBACK")
    if not ours:
        _create(db, path)
    db.executescript(
        "PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF; PRAGMA trusted_schema=OFF;"
        "PRAGMA cache_size=-8192;"
        "PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=16777216;"
    )


def _is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """True: ours. False: still empty. Otherwise StorageCorrupt."""
    owner, version, things = (
        db.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if owner == APPLICATION_ID and version == VERSION:
        return True
    if owner == APPLICATION_ID:
        raise StorageCorrupt(
            f"{path}: written by another version of Tickrelay (format {version}, not {VERSION})"
        )
    if owner or version or things:
        raise StorageCorrupt(
            f"{path}: is an SQLite file of another program; name another path for the broker"
        )
    return False


def _create(db: sqlite3.Connection, path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    # Several processes may do this at once, and a change of journal mode doesn't wait its turn by itself.
    while True:
        try:
            db.execute(f"PRAGMA page_size={PAGE}")
            db.execute("PRAGMA auto_vacuum=NONE")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
    try:
        if not _is_ours(db, path):
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
