# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What messages of one key mean to each other: who is before whom, and who is one at a time.

A message's place is the instant it was first claimed, in microseconds, or one more than the last place of its key; that
of a message for later is the instant it is due. So whatever becomes of those before, places never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, exists, func, not_, or_, select

from tickrelay_messaging.ledger.keys import SIZE
from tickrelay_messaging.ledger.records import KeyRule, Owner, Route
from tickrelay_messaging.ledger.sql.bulk import insert_rows
from tickrelay_messaging.ledger.sql.tables import CLAIMED, DEAD, WAITING, active, payloads
from tickrelay_messaging.message import Message

RULES = {KeyRule.NONE: 0, KeyRule.ORDER: 1, KeyRule.STRICT: 2, KeyRule.SINGLETON: 3}
"""What the integers in `active.rule` mean."""
STRICT, SINGLETON = RULES[KeyRule.STRICT], RULES[KeyRule.SINGLETON]
IN_ORDER = (RULES[KeyRule.ORDER], STRICT)

BEHIND = 1
"""Fence of a message that was parked behind others; one that was parked for later has 0."""

INSERT_KEYED = insert_rows(
    active,
    "key route state owner fence held due message_id source batch digest order_key position rule",
    constants="attempt crashes suspect",
    values="1 0 0",
)
_CHUNK = 1_000


def order_key(route: Route, rule: KeyRule, message: Message) -> bytes | None:
    """What stands for a message's key with its handler; None if it has nothing to do with any other."""
    if rule is KeyRule.NONE or (rule is not KeyRule.SINGLETON and message.key is None):
        return None
    kind = "one at a time" if rule is KeyRule.SINGLETON else "in order"
    parts = [kind, route.queue, route.group, route.handler, *([] if message.key is None else [message.key])]
    encoded = [part.encode() for part in parts]
    return blake2b(b"".join(b"%d:%s" % (len(raw), raw) for raw in encoded), digest_size=SIZE).digest()


class Places:
    """Where the new messages of one call come, in their keys' order."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._last: dict[bytes, int] = {}
        self._blocked: set[bytes] = set()
        self._busy: set[bytes] = set()

    def look(self, connection: Connection, owner: Owner, rule: KeyRule, keys: Iterable[bytes | None]) -> None:
        """See what there is of these keys."""
        wanted = list({key for key in keys if key is not None})
        for at in range(0, len(wanted), _CHUNK):
            chunk = wanted[at : at + _CHUNK]
            if rule is KeyRule.SINGLETON:
                self._busy |= claimed_of(connection, chunk)
            else:
                self._look_at_order(connection, owner, rule, chunk)

    def _look_at_order(
        self, connection: Connection, owner: Owner, rule: KeyRule, keys: Sequence[bytes]
    ) -> None:
        for_later = _is_for_later(active, self._now)
        mine = and_(active.c.state == CLAIMED, active.c.owner == owner.number)
        passed = (
            or_(for_later, mine) if rule is KeyRule.STRICT else or_(for_later, mine, active.c.state == DEAD)
        )
        last = func.max(case((for_later, 0), else_=active.c.position))
        blocked = func.max(case((passed, 0), else_=1))
        query = select(active.c.order_key, last, blocked).where(active.c.order_key.in_(keys))
        for key, place, is_blocked in connection.execute(query.group_by(active.c.order_key)):
            self._last[bytes(key)] = int(place)
            if is_blocked:
                self._blocked.add(bytes(key))

    def take(self, key: bytes) -> int:
        """The next place in its key's order."""
        self._last[key] = place = max(self._last.get(key, 0) + 1, int(self._now * 1e6))
        return place

    def is_blocked(self, key: bytes) -> bool:
        """Whether one before it is in somebody else's hands, or in nobody's."""
        return key in self._blocked

    def begin(self, key: bytes) -> bool:
        """Be the one of its key that runs; False if there is one."""
        is_free = key not in self._busy
        self._busy.add(key)
        return is_free


def claimed_of(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those keys of which a message is claimed."""
    query = select(active.c.order_key).where(active.c.order_key.in_(keys), active.c.state == CLAIMED)
    return {bytes(key) for key in connection.execute(query).scalars()}


def is_first(now: float) -> ColumnElement[bool]:
    """Of rows of `active`: nothing that hasn't ended is before it in its key's order."""
    other = active.alias("other")
    is_before = or_(
        other.c.position < active.c.position,
        and_(other.c.position == active.c.position, other.c.key < active.c.key),
    )
    holds_up = and_(
        or_(other.c.state != DEAD, active.c.rule == STRICT),
        not_(_is_for_later(other, now)),
    )
    before = exists().where(other.c.order_key == active.c.order_key, is_before, holds_up)
    return or_(active.c.order_key.is_(None), not_(before))


def _is_for_later(table: FromClause, now: float) -> ColumnElement[bool]:
    return and_(table.c.state == WAITING, table.c.fence == 0, table.c.due > now)


def followers(connection: Connection, first: Sequence[Any], now: float, limit: int) -> list[Any]:
    """Those right behind the first of their keys that may be given with them, in order."""
    keys = [row.order_key for row in first if row.rule in IN_ORDER]
    if not keys or limit <= len(first):
        return []
    query = (
        select(active, payloads.c.headers, payloads.c.body)
        .outerjoin(payloads, payloads.c.key == active.c.key)
        .where(active.c.order_key.in_(keys), or_(active.c.state != DEAD, active.c.rule == STRICT))
        .where(not_(_is_for_later(active, now)))
        .order_by(active.c.order_key, active.c.position, active.c.key)
        .limit(limit)
    )
    stopped: set[bytes] = set()
    known = {row.key for row in first}
    found = []
    for row in connection.execute(query):
        if row.state != WAITING or row.due > now or row.suspect:
            stopped.add(row.order_key)
        if row.order_key not in stopped and row.key not in known:
            found.append(row)
    return found[: limit - len(first)]


def is_anybody_waiting(connection: Connection, keys: Iterable[bytes | None]) -> bool:
    """Whether something is parked behind messages of these keys."""
    wanted = list({key for key in keys if key is not None})
    if not wanted:
        return False
    query = select(active.c.key).where(active.c.order_key.in_(wanted[:_CHUNK]), active.c.state == WAITING)
    return len(wanted) > _CHUNK or connection.execute(query.limit(1)).first() is not None
