# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker's statements; each function works inside its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence

NUMBER_BITS = 40
"""A position is `queue << 40 | number`."""
MOST_BYTES = 32 << 20
"""A receive stops at so many bytes of bodies, whatever its limit."""

Row = tuple[int, str, bytes]
"""Position, headers as JSON, body."""


def number_of(position: int) -> int:
    """A message's number in its queue, counted from 1."""
    return position & ((1 << NUMBER_BITS) - 1)


def queue_head(db: sqlite3.Connection, queue: str) -> tuple[int, int] | None:
    """Id and last position of a queue; None if it was never declared."""
    found: tuple[int, int] | None = db.execute(
        "SELECT id, head FROM queues WHERE name = ?", (queue,)
    ).fetchone()
    return found


def declare_queue(db: sqlite3.Connection, queue: str) -> tuple[int, int]:
    """Id and last position of a queue, made if it's new."""
    db.execute("INSERT INTO queues (name, head) VALUES (?, 0) ON CONFLICT DO NOTHING", (queue,))
    db.execute("UPDATE queues SET head = id << ? WHERE name = ? AND head = 0", (NUMBER_BITS, queue))
    found = queue_head(db, queue)
    assert found is not None
    return found


def put(db: sqlite3.Connection, queue: str, at: float, messages: Sequence[tuple[str, bytes]]) -> bool:
    """Store messages (headers, body) behind the last one; False if the queue was never declared."""
    found = db.execute(
        "UPDATE queues SET head = head + ? WHERE name = ? RETURNING head", (len(messages), queue)
    ).fetchone()
    if found is None:
        return False
    first = found[0] - len(messages) + 1
    rows = ((position, at, headers, body) for position, (headers, body) in enumerate(messages, first))
    db.executemany("INSERT INTO messages (position, published_at, headers, body) VALUES (?, ?, ?, ?)", rows)
    return True


def anything_for(db: sqlite3.Connection, group: int) -> bool:
    """Whether a group has messages nobody holds."""
    question = (
        "SELECT g.cursor < q.head OR EXISTS (SELECT 1 FROM in_flight WHERE grp = g.id AND owner = 0)"
        " FROM groups g JOIN queues q ON q.id = g.queue WHERE g.id = ?"
    )
    return bool(db.execute(question, (group,)).fetchone()[0])


def held_by_others(db: sqlite3.Connection, group: int, owner: int) -> bool:
    """Whether another subscription of the group holds messages."""
    question = "SELECT EXISTS (SELECT 1 FROM in_flight WHERE grp = ? AND owner NOT IN (0, ?))"
    return bool(db.execute(question, (group, owner)).fetchone()[0])


def take_given_back(db: sqlite3.Connection, group: int, owner: int, limit: int) -> list[Row]:
    """Hand over messages whose earlier owner left, oldest first."""
    question = (
        "SELECT m.position, m.headers, m.body FROM in_flight f JOIN messages m ON m.position = f.position"
        " WHERE f.grp = ? AND f.owner = 0 ORDER BY f.position LIMIT ?"
    )
    rows = _within_bytes(db.execute(question, (group, limit)))
    change = "UPDATE in_flight SET owner = ? WHERE grp = ? AND position = ?"
    db.executemany(change, ((owner, group, row[0]) for row in rows))
    return rows


def take_new(db: sqlite3.Connection, group: int, owner: int, limit: int) -> list[Row]:
    """Hand over the next messages behind the group's cursor, oldest first."""
    question = "SELECT g.cursor, q.head FROM groups g JOIN queues q ON q.id = g.queue WHERE g.id = ?"
    cursor, head = db.execute(question, (group,)).fetchone()
    question = (
        "SELECT position, headers, body FROM messages WHERE position > ? AND position <= ? ORDER BY 1 LIMIT ?"
    )
    rows = _within_bytes(db.execute(question, (cursor, head, limit)))
    if rows:
        db.execute("UPDATE groups SET cursor = ? WHERE id = ?", (rows[-1][0], group))
        change = (
            "INSERT INTO in_flight SELECT ?, position, ? FROM messages WHERE position > ? AND position <= ?"
        )
        db.execute(change, (group, owner, cursor, rows[-1][0]))
    return rows


def _within_bytes(found: Iterable[Row]) -> list[Row]:
    rows, size = [], 0
    for row in found:
        rows.append(row)
        size += len(row[2])
        if size > MOST_BYTES:
            break
    return rows


def settle(db: sqlite3.Connection, group: int, owner: int, positions: Sequence[int]) -> None:
    """Forget messages a subscription holds, for ever; a row no group needs any more is deleted with them."""
    change = (
        "DELETE FROM in_flight WHERE grp = ? AND owner = ? AND position IN (SELECT value FROM json_each(?))"
        " RETURNING position"
    )
    settled = db.execute(change, (group, owner, json.dumps(positions))).fetchall()
    _drop(
        db, group, "m.position IN (SELECT value FROM json_each(?))", json.dumps([row[0] for row in settled])
    )


def drop_ready(db: sqlite3.Connection, group: int, most: int) -> int:
    """Drop up to `most` messages of a group that nobody holds, oldest first; how many there were."""
    question = "DELETE FROM in_flight WHERE grp = ? AND owner = 0 RETURNING position"
    given_back = [row[0] for row in db.execute(question, (group,)).fetchall()]
    _drop(db, group, "m.position IN (SELECT value FROM json_each(?))", json.dumps(given_back))
    question = (
        "SELECT g.cursor, min(q.head, g.cursor + ?) FROM groups g JOIN queues q ON q.id = g.queue"
        " WHERE g.id = ?"
    )
    cursor, last = db.execute(question, (most, group)).fetchone()
    db.execute("UPDATE groups SET cursor = ? WHERE id = ?", (last, group))
    _drop(db, group, "m.position > ? AND m.position <= ?", cursor, last)
    return len(given_back) + int(last - cursor)


def _drop(db: sqlite3.Connection, group: int, which: str, *arguments: object) -> None:
    """Delete those of the messages this group let go of that no other group needs."""
    siblings = db.execute(
        "SELECT id, cursor FROM groups WHERE queue = (SELECT queue FROM groups WHERE id = ?)", (group,)
    ).fetchall()
    change = f"DELETE FROM messages AS m WHERE {which} AND m.position <= ?"  # noqa: S608 - `which` is ours
    for _ in siblings[1:]:
        change += " AND NOT EXISTS (SELECT 1 FROM in_flight f WHERE f.grp = ? AND f.position = m.position)"
    others = [sibling for sibling, _ in siblings if sibling != group]
    db.execute(change, (*arguments, min(cursor for _, cursor in siblings), *others))


def join(db: sqlite3.Connection, group: int, bell: str) -> int:
    """A new subscription's id, never used before."""
    return db.execute("INSERT INTO subscriptions (grp, bell) VALUES (?, ?)", (group, bell)).lastrowid or 0


def is_member(db: sqlite3.Connection, subscription: int) -> bool:
    """Whether nobody has declared this subscription dead."""
    return db.execute("SELECT 1 FROM subscriptions WHERE id = ?", (subscription,)).fetchone() is not None


def leave(db: sqlite3.Connection, group: int, subscription: int) -> int:
    """End a subscription and give back what it holds; how many messages that is."""
    db.execute("DELETE FROM subscriptions WHERE id = ?", (subscription,))
    change = "UPDATE in_flight SET owner = 0 WHERE grp = ? AND owner = ?"
    return db.execute(change, (group, subscription)).rowcount


def dead_members(db: sqlite3.Connection, group: int, lives: Callable[[str], bool]) -> list[int]:
    """Subscriptions of a group whose bell nobody answers."""
    members = db.execute("SELECT id, bell FROM subscriptions WHERE grp = ?", (group,)).fetchall()
    return [member for member, bell in members if not lives(bell)]
