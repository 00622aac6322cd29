# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker's statements; each function works inside its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from tickrelay_messaging.brokers.lanes import lane_of
from tickrelay_messaging.message import Message

NUMBER_BITS = 40
"""A position is `queue << 40 | number`."""
MOST_BYTES = 32 << 20
"""A receive stops at so many bytes of bodies, whatever its limit."""
_FORGET_CHUNK = 1 << 30

Row = tuple[int, str, bytes]
"""Position, headers as JSON, body."""
Encoded = tuple[str, Message]
"""Headers as JSON, and the message they are of."""


def number_of(position: int) -> int:
    """A message's number in its queue, counted from 1."""
    return position & ((1 << NUMBER_BITS) - 1)


def queue_head(db: sqlite3.Connection, queue: str) -> tuple[int, int] | None:
    """Id and last position of a queue; None if it was never declared."""
    found: tuple[int, int] | None = db.execute(
        "SELECT id, head FROM queues WHERE name = ?", (queue,)
    ).fetchone()
    return found


def declare_queue(db: sqlite3.Connection, queue: str, lanes: int) -> tuple[int, int]:
    """Id and last position of a queue, made with so many lanes if it's new."""
    db.execute(
        "INSERT INTO queues (name, head, lanes) VALUES (?, 0, ?) ON CONFLICT DO NOTHING", (queue, lanes)
    )
    db.execute("UPDATE queues SET head = id << ? WHERE name = ? AND head = 0", (NUMBER_BITS, queue))
    found = queue_head(db, queue)
    assert found is not None
    return found


def put(db: sqlite3.Connection, queue: str, at: float, messages: Sequence[Encoded]) -> bool:
    """Store messages behind the last one; False if the queue was never declared."""
    change = (
        "UPDATE queues SET head = head + ? WHERE name = ?"
        " RETURNING head, lanes, EXISTS (SELECT 1 FROM groups WHERE queue = queues.id)"
    )
    found = db.execute(change, (len(messages), queue)).fetchone()
    if found is None:
        return False
    head, lanes, is_needed = found
    if is_needed:
        first = head - len(messages) + 1
        (_put_in_lanes if lanes else _put)(db, first, at, messages, lanes)
    return True


def _put(db: sqlite3.Connection, first: int, at: float, messages: Sequence[Encoded], _: int) -> None:
    rows = ((position, at, headers, one.body) for position, (headers, one) in enumerate(messages, first))
    db.executemany("INSERT INTO messages (position, published_at, headers, body) VALUES (?, ?, ?, ?)", rows)


def _put_in_lanes(
    db: sqlite3.Connection, first: int, at: float, messages: Sequence[Encoded], lanes: int
) -> None:
    rows = (
        (position, at, headers, one.body, lane_of(one, lanes) + 1)
        for position, (headers, one) in enumerate(messages, first)
    )
    change = "INSERT INTO messages (position, published_at, headers, body, lane) VALUES (?, ?, ?, ?, ?)"
    db.executemany(change, rows)


def anything_for(db: sqlite3.Connection, group: int) -> bool:
    """Whether a group has messages nobody holds; also if it was forgotten, which the next look finds out."""
    question = (
        "SELECT g.cursor < q.head OR EXISTS (SELECT 1 FROM in_flight WHERE grp = g.id AND owner = 0)"
        " FROM groups g JOIN queues q ON q.id = g.queue WHERE g.id = ?"
    )
    found = db.execute(question, (group,)).fetchone()
    return found is None or bool(found[0])


def held_by_others(db: sqlite3.Connection, group: int, owner: int) -> bool:
    """Whether another subscription of the group holds messages."""
    question = "SELECT EXISTS (SELECT 1 FROM in_flight WHERE grp = ? AND owner > 0 AND owner <> ?)"
    return bool(db.execute(question, (group, owner)).fetchone()[0])


def take_given_back(db: sqlite3.Connection, group: int, owner: int, limit: int) -> list[Row]:
    """Hand over messages whose earlier owner left, oldest first."""
    question = (
        "SELECT m.position, m.headers, m.body FROM in_flight f JOIN messages m ON m.position = f.position"
        " WHERE f.grp = ? AND f.owner = 0 ORDER BY f.position LIMIT ?"
    )
    rows = within_bytes(db.execute(question, (group, limit)))
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
    rows = within_bytes(db.execute(question, (cursor, head, limit)))
    if rows:
        db.execute("UPDATE groups SET cursor = ? WHERE id = ?", (rows[-1][0], group))
        change = (
            "INSERT INTO in_flight (grp, position, owner)"
            " SELECT ?, position, ? FROM messages WHERE position > ? AND position <= ?"
        )
        db.execute(change, (group, owner, cursor, rows[-1][0]))
    return rows


def within_bytes(found: Iterable[Row]) -> list[Row]:
    """The first of them, up to `MOST_BYTES` of bodies; at least one, if there is one."""
    rows, size = [], 0
    for row in found:
        rows.append(row)
        size += len(row[2])
        if size > MOST_BYTES:
            break
    return rows


def settle(db: sqlite3.Connection, group: int, owner: int, positions: Sequence[int]) -> set[int]:
    """
    Forget messages a subscription holds, for ever; a row no group needs any more is deleted with them.

    Returns:
        the lanes they were in.
    """
    change = (
        "DELETE FROM in_flight WHERE grp = ? AND owner = ? AND position IN (SELECT value FROM json_each(?))"
        " RETURNING position, lane"
    )
    settled = db.execute(change, (group, owner, json.dumps(positions))).fetchall()
    _drop_these(db, group, [row[0] for row in settled])
    return {row[1] for row in settled}


def drop_ready(db: sqlite3.Connection, group: int, most: int) -> int:
    """Drop up to `most` messages of a group that nobody holds, oldest first; how many there were."""
    change = (
        "DELETE FROM in_flight WHERE grp = ?1 AND position IN"
        " (SELECT position FROM in_flight WHERE grp = ?1 AND owner < 1 ORDER BY position LIMIT ?2)"
        " RETURNING position"
    )
    waiting = [row[0] for row in db.execute(change, (group, most)).fetchall()]
    _drop_these(db, group, waiting)
    question = (
        "SELECT g.cursor, min(q.head, g.cursor + ?) FROM groups g JOIN queues q ON q.id = g.queue"
        " WHERE g.id = ?"
    )
    found = db.execute(question, (most - len(waiting), group)).fetchone()
    if found is None:  # forgotten meanwhile
        return len(waiting)
    cursor, last = found
    db.execute("UPDATE groups SET cursor = ? WHERE id = ?", (last, group))
    _drop(db, group, "m.position > ? AND m.position <= ?", cursor, last)
    return len(waiting) + int(last - cursor)


def forget_group(db: sqlite3.Connection, group: int) -> None:
    """End a group and its subscriptions with all it still holds or could hand out."""
    db.execute("DELETE FROM subscriptions WHERE grp = ?", (group,))
    db.execute("UPDATE in_flight SET owner = 0 WHERE grp = ?", (group,))
    while drop_ready(db, group, _FORGET_CHUNK):
        pass
    db.execute("DELETE FROM groups WHERE id = ?", (group,))


def _drop_these(db: sqlite3.Connection, group: int, positions: Sequence[int]) -> None:
    _drop(db, group, "m.position IN (SELECT value FROM json_each(?))", json.dumps(positions))


def _drop(db: sqlite3.Connection, group: int, which: str, *arguments: object) -> None:
    """Delete those of the messages this group let go of that no other group needs."""
    siblings = db.execute(
        "SELECT id, cursor FROM groups WHERE queue = (SELECT queue FROM groups WHERE id = ?)", (group,)
    ).fetchall()
    change = f"DELETE FROM messages AS m WHERE {which} AND m.position <= ?"  # noqa: S608 - `which` is ours
    for _ in siblings[1:]:
        change += " AND NOT EXISTS (SELECT 1 FROM in_flight f WHERE f.grp = ? AND f.position = m.position)"
    others = [sibling for sibling, _ in siblings if sibling != group]
    db.execute(change, (*arguments, min((cursor for _, cursor in siblings), default=-1), *others))


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
