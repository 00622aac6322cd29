# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker's file: made private, recognised as ours, and its errors in our words."""

from __future__ import annotations

import os
import resource
import sqlite3
from pathlib import Path
from urllib.parse import quote

from tickrelay_messaging import sqlite_file
from tickrelay_messaging.brokers.sqlite import schema
from tickrelay_messaging.brokers.sqlite.schema import PAGE, PATIENCE
from tickrelay_messaging.errors import BrokerUnavailable, ServiceError, StorageCorrupt, StorageFull

RESERVE = 12 << 20
"""Bytes of the disk that publishing leaves alone: a log of 1,000 pages, its checkpoint, and some."""

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
    schema.prepare(db, path)
    db.executescript(
        "PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF; PRAGMA trusted_schema=OFF;"
        "PRAGMA cache_size=-8192;"
        "PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=16777216;"
    )
