# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the SQLite broker shows of itself, changing nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from tickrelay_messaging.brokers.base import GroupStats, Peeked, QueueSpec
from tickrelay_messaging.brokers.sqlite.headers import read
from tickrelay_messaging.brokers.sqlite.rows import NUMBER_BITS, dead_members, number_of


def queues(db: sqlite3.Connection) -> list[QueueSpec]:
    """Every queue with its groups in the order they were declared, by name."""
    groups: dict[tuple[str, int], list[str]] = {}
    question = "SELECT q.name, q.lanes, g.name FROM queues q LEFT JOIN groups g ON g.queue = q.id ORDER BY q.name, g.id"
    for queue, lanes, group in db.execute(question):
        groups.setdefault((queue, lanes), []).extend([group] if group is not None else [])
    return [QueueSpec(queue, tuple(found), lanes) for (queue, lanes), found in groups.items()]


def find_group(db: sqlite3.Connection, queue: str, group: str) -> tuple[int, int] | None:
    """A group's id, and its queue's lanes; None if queue or group was never declared."""
    question = (
        "SELECT g.id, q.lanes FROM groups g JOIN queues q ON q.id = g.queue WHERE q.name = ? AND g.name = ?"
    )
    found: tuple[int, int] | None = db.execute(question, (queue, group)).fetchone()
    return found


def ready(db: sqlite3.Connection, group: int) -> int:
    """How many messages of a group nobody holds."""
    question = (
        "SELECT q.head - g.cursor + (SELECT count(*) FROM in_flight WHERE grp = g.id AND owner < 1)"
        " FROM groups g JOIN queues q ON q.id = g.queue WHERE g.id = ?"
    )
    found = db.execute(question, (group,)).fetchone()
    return 0 if found is None else int(found[0])


def stats(db: sqlite3.Connection, queue: str, lives: Callable[[str], bool]) -> list[GroupStats]:
    """A row a group, in the order they were declared."""
    question = (
        "SELECT g.id, g.name, g.cursor, q.head FROM groups g JOIN queues q ON q.id = g.queue"
        " WHERE q.name = ? ORDER BY 1"
    )
    return [_stats(db, queue, row, lives) for row in db.execute(question, (queue,)).fetchall()]


def _stats(
    db: sqlite3.Connection, queue: str, row: tuple[int, str, int, int], lives: Callable[[str], bool]
) -> GroupStats:
    group, name, cursor, head = row
    dead = set(dead_members(db, group, lives))
    held = db.execute(
        "SELECT owner, count(*) FROM in_flight WHERE grp = ? GROUP BY owner", (group,)
    ).fetchall()
    waiting = sum(count for owner, count in held if owner < 1 or owner in dead)
    members = db.execute("SELECT count(*) FROM subscriptions WHERE grp = ?", (group,)).fetchone()[0]
    return GroupStats(
        queue=queue,
        group=name,
        ready=head - cursor + waiting,
        in_flight=sum(count for _, count in held) - waiting,
        oldest_age=_oldest_age(db, group, cursor, head),
        consumers=members - len(dead),
        published=number_of(head),
    )


def _oldest_age(db: sqlite3.Connection, group: int, cursor: int, head: int) -> float | None:
    held = db.execute("SELECT min(position) FROM in_flight WHERE grp = ?", (group,)).fetchone()[0]
    oldest = held or cursor + 1
    if oldest > head:
        return None
    found = db.execute("SELECT published_at FROM messages WHERE position = ?", (oldest,)).fetchone()
    return max(0.0, time.time() - found[0]) if found else None


def peek(db: sqlite3.Connection, queue: int, after: int, limit: int) -> list[Peeked]:
    """Messages still needed by a group, from behind number `after`."""
    first, last = queue << NUMBER_BITS, (queue + 1) << NUMBER_BITS
    held = {
        row[0]
        for row in db.execute(
            "SELECT position FROM in_flight WHERE grp IN (SELECT id FROM groups WHERE queue = ?)"
            " AND owner > 0 AND position > ?",
            (queue, first + after),
        )
    }
    question = (
        "SELECT position, headers, body, published_at FROM messages WHERE position > ? AND position < ?"
        " ORDER BY position LIMIT ?"
    )
    return [
        Peeked(str(number_of(position)), read(headers), body, published_at, in_flight=position in held)
        for position, headers, body, published_at in db.execute(
            question, (first + after, last, max(limit, 0))
        )
    ]
