# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The SQLite broker's statements for queues with lanes; each function works inside its caller's transaction.

A lane is held by the subscription that has unacknowledged messages of it. A look for messages goes over the queue as
ever, but passes over those of lanes held by others: they are set aside, in flight for nobody, until their lane is
free. So each message is passed over once, and nobody waits behind a slow lane.

Who finds nothing because the others hold all lanes is marked hungry. Then each takes from its share of the lanes only,
and lanes beyond it become free as soon as what is in hand of them is done.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from tickrelay_messaging.brokers.sqlite.rows import Row, within_bytes

LOOK = 2_000
"""Most messages passed over in one transaction, so that other processes get their turn."""

Taken = list[tuple[Row, bool]]
"""Messages handed over, and whether each was handed out before."""


@dataclass(slots=True)
class Member:
    """
    A subscription to a queue with lanes.

    Attributes:
        group, owner: its ids.
        lanes: how many the queue has.
        hungry: it has been marked so.
    """

    group: int
    owner: int
    lanes: int
    hungry: bool = False


def anything_for(db: sqlite3.Connection, member: Member) -> bool:
    """Whether a look can make progress: over what is new, or with what is set aside in a lane it may use."""
    question = "SELECT g.cursor < q.head FROM groups g JOIN queues q ON q.id = g.queue WHERE g.id = ?"
    found = db.execute(question, (member.group,)).fetchone()
    return found is None or bool(found[0]) or bool(_waiting(db, member.group, allowed(db, member)))


def anything_waiting(db: sqlite3.Connection, group: int) -> bool:
    """Whether messages are set aside, for anybody."""
    question = "SELECT EXISTS (SELECT 1 FROM in_flight WHERE grp = ? AND owner < 1 AND lane > 0)"
    return bool(db.execute(question, (group,)).fetchone()[0])


def held_by_others(db: sqlite3.Connection, member: Member) -> bool:
    """Whether another subscription of the group holds messages."""
    question = (
        "SELECT EXISTS (SELECT 1 FROM in_flight WHERE grp = ? AND owner > 0 AND lane > 0 AND owner <> ?)"
    )
    return bool(db.execute(question, (member.group, member.owner)).fetchone()[0])


def allowed(db: sqlite3.Connection, member: Member) -> list[int]:
    """The lanes it may take messages of now."""
    question = "SELECT DISTINCT owner, lane FROM in_flight WHERE grp = ? AND owner > 0 AND lane > 0"
    held = db.execute(question, (member.group,)).fetchall()
    others = {lane for owner, lane in held if owner != member.owner}
    own = sorted({lane for owner, lane in held if owner == member.owner} - others)
    free = [lane for lane in range(1, member.lanes + 1) if lane not in others and lane not in own]
    share = _share(db, member)
    if share >= member.lanes:
        return own + free
    waiting = _waiting(db, member.group, free)
    return (own + waiting + [lane for lane in free if lane not in waiting])[:share]


def _share(db: sqlite3.Connection, member: Member) -> int:
    question = "SELECT count(*), total(hungry AND id <> ?) FROM subscriptions WHERE grp = ?"
    members, hungry = db.execute(question, (member.owner, member.group)).fetchone()
    return -(-member.lanes // max(1, members)) if hungry else member.lanes


def _waiting(db: sqlite3.Connection, group: int, lanes: Collection[int]) -> list[int]:
    """Those of the lanes that have messages set aside."""
    question = (
        "SELECT value FROM json_each(?) WHERE EXISTS"
        " (SELECT 1 FROM in_flight WHERE grp = ? AND lane = value AND lane > 0 AND owner < 1)"
    )
    return [row[0] for row in db.execute(question, (json.dumps(list(lanes)), group))]


def take(db: sqlite3.Connection, member: Member, limit: int) -> Taken:
    """Hand over what is set aside in the lanes it may use, oldest first; if nothing is, go on along the queue."""
    lanes = allowed(db, member)
    taken = _take_waiting(db, member, lanes, limit) or _take_new(db, member, lanes, limit)
    if taken and member.hungry:
        db.execute("UPDATE subscriptions SET hungry = 0 WHERE id = ?", (member.owner,))
        member.hungry = False
    return taken


def _take_waiting(db: sqlite3.Connection, member: Member, lanes: Collection[int], limit: int) -> Taken:
    question = (
        "SELECT f.position, f.owner FROM json_each(?) l JOIN in_flight f"
        " ON f.grp = ? AND f.lane = l.value AND f.lane > 0 AND f.owner < 1 ORDER BY 1 LIMIT ?"
    )
    found = dict(db.execute(question, (json.dumps(list(lanes)), member.group, limit)).fetchall())
    question = (
        "SELECT position, headers, body FROM messages WHERE position IN (SELECT value FROM json_each(?))"
        " ORDER BY position"
    )
    rows = within_bytes(db.execute(question, (json.dumps(list(found)),))) if found else []
    change = "UPDATE in_flight SET owner = ? WHERE grp = ? AND position = ?"
    db.executemany(change, ((member.owner, member.group, row[0]) for row in rows))
    return [(row, found[row[0]] == 0) for row in rows]


def _take_new(db: sqlite3.Connection, member: Member, lanes: Collection[int], limit: int) -> Taken:
    """Move the group's cursor on until `limit` messages of these lanes are found; the others are set aside."""
    question = "SELECT g.cursor, q.head FROM groups g JOIN queues q ON q.id = g.queue WHERE g.id = ?"
    cursor, head = db.execute(question, (member.group,)).fetchone()
    question = "SELECT position, lane FROM messages WHERE position > ? AND position <= ? ORDER BY 1 LIMIT ?"
    places = db.execute(question, (cursor, head, LOOK)).fetchall()
    mine = [position for position, lane in places if lane in set(lanes)][:limit]
    question = (
        "SELECT position, headers, body FROM messages WHERE position IN (SELECT value FROM json_each(?))"
        " ORDER BY position"
    )
    rows = within_bytes(db.execute(question, (json.dumps(mine),))) if mine else []
    is_all = len(rows) < limit and len(rows) == len(mine)
    last = (places[-1][0] if places else head) if is_all else rows[-1][0]
    _move_on(db, member, (cursor, last), {row[0] for row in rows})
    return [(row, False) for row in rows]


def _move_on(db: sqlite3.Connection, member: Member, span: tuple[int, int], mine: set[int]) -> None:
    db.execute("UPDATE groups SET cursor = ? WHERE id = ?", (span[1], member.group))
    change = (
        "INSERT INTO in_flight (grp, position, owner, lane) SELECT ?, position,"
        " CASE WHEN position IN (SELECT value FROM json_each(?)) THEN ? ELSE -1 END, lane"
        " FROM messages WHERE position > ? AND position <= ?"
    )
    db.execute(change, (member.group, json.dumps(list(mine)), member.owner, *span))


def frees(db: sqlite3.Connection, member: Member, lanes: Collection[int]) -> bool:
    """Whether one of these lanes, just acknowledged in, is free now and has messages set aside."""
    question = "SELECT DISTINCT lane FROM in_flight WHERE grp = ? AND owner = ? AND owner > 0 AND lane > 0"
    held = {row[0] for row in db.execute(question, (member.group, member.owner))}
    return bool(_waiting(db, member.group, set(lanes) - held))


def mark_hungry(db: sqlite3.Connection, member: Member) -> None:
    """Tell the others that it would take messages and may not."""
    db.execute("UPDATE subscriptions SET hungry = 1 WHERE id = ?", (member.owner,))
    member.hungry = True
