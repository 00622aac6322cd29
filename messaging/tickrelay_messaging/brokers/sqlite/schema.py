# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker's tables: made in a new file, brought up to date in an older one, refused in a newer one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tickrelay_messaging.errors import StorageCorrupt
from tickrelay_messaging.sqlite_file import until_unlocked

APPLICATION_ID = 0x54525131
"""`TRQ1`, in bytes 68-71 of the file: which program an SQLite file belongs to."""
VERSION = 2
PATIENCE = 10.0
"""Longest wait in seconds for another process that writes."""
PAGE = 4096

# A position is `queue << 40 | number`, numbers running 1, 2, 3... in each queue. So a queue's messages lie
# together and need no second index, what is ready is a subtraction, and no position ever comes twice.
# A message's row exists exactly as long as some group still needs it.
# An owner in `in_flight` is a subscription; 0: given back; -1: passed over, because its lane was somebody else's.
_FIRST = """
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
"""
# Lanes count from 1; 0 is a message of a queue without them, which no index here knows.
_LANES = """
ALTER TABLE queues ADD COLUMN lanes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN hungry INTEGER NOT NULL DEFAULT 0;
ALTER TABLE in_flight ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
CREATE INDEX lanes_waiting ON in_flight (grp, lane, position) WHERE owner < 1 AND lane > 0;
CREATE INDEX lanes_held ON in_flight (grp, owner, lane) WHERE owner > 0 AND lane > 0;
"""
_STEPS = (_FIRST, _LANES)
"""What makes version 1 of nothing, version 2 of version 1, and so on; none of them touches a message."""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """
    Make the tables, or bring them up to date.

    A process of an older version that has the file open meanwhile gets errors from then on, and loses nothing.

    Raises:
        StorageCorrupt: another program's file, or a later version's; it is left as it is.
    """
    # It must be known whose file this is before anything is changed, and at one moment: another process
    # may be making it just now.
    db.execute("BEGIN")
    try:
        version = _version(db, path)
    finally:
        db.execute("ROLLBACK")
    if version < VERSION:
        _bring_up_to_date(db, path, is_new=not version)


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Which version of ours the file is, 0 for an empty one; otherwise StorageCorrupt."""
    owner, version, things = (
        db.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if owner == APPLICATION_ID and 0 < version <= VERSION:
        return int(version)
    if owner == APPLICATION_ID:
        raise StorageCorrupt(
            f"{path}: written by another version of Tickrelay (format {version}, this one knows up to {VERSION}); "
            "use that version, or name another path"
        )
    if owner or version or things:
        raise StorageCorrupt(
            f"{path}: is an SQLite file of another program; name another path for the broker"
        )
    return 0


def _bring_up_to_date(db: sqlite3.Connection, path: Path, *, is_new: bool) -> None:
    until_unlocked(lambda: _begin(db, is_new=is_new), PATIENCE)
    try:
        for step in _STEPS[_version(db, path) :]:
            for statement in filter(str.strip, step.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _begin(db: sqlite3.Connection, *, is_new: bool) -> None:
    if is_new:
        db.execute(f"PRAGMA page_size={PAGE}")
        db.execute("PRAGMA auto_vacuum=NONE")
        db.execute("PRAGMA journal_mode=WAL")
    db.execute("BEGIN IMMEDIATE")
