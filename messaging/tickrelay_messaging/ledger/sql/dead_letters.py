# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dead letters in a SQL ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from tickrelay_messaging.ledger.base import DeadLetters
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.records import DeadFilter, DeadGroup, DeadLetter, Failure, State
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.auditing import enter
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.endings import CODE_OF, Ending, Endings
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.tables import WAITING, active, dead, payloads, routes, steps

_CHUNK = 500
"""Dead letters changed in one transaction, so that no other writer waits long."""


class SqlDeadLetters(DeadLetters):
    """See `base.DeadLetters`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def list(self, where: DeadFilter, *, after: int = 0, limit: int = 50) -> list[DeadLetter]:
        query = _select(where).where(dead.c.number > after).order_by(dead.c.number).limit(limit)
        with self._database.read() as connection:
            return [self._letter(row) for row in connection.execute(query)]

    def show(self, number: int) -> DeadLetter | None:
        query = (
            select(dead, payloads.c.headers, payloads.c.body)
            .join(payloads, payloads.c.key == dead.c.key)
            .where(dead.c.number == number)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return self._letter(row, json.loads(row.headers), row.body) if row else None

    def count(self, where: DeadFilter) -> int:
        query = select(func.count()).select_from(_select(where).subquery())
        return int(self._database.scalar(query) or 0)

    def groups(self, where: DeadFilter) -> Sequence[DeadGroup]:
        same = (dead.c.route, dead.c.reason, dead.c.kind)
        died = (func.min(dead.c.died_at).label("oldest"), func.max(dead.c.died_at).label("newest"))
        counted = select(*same, func.count().label("number_of"), func.max(dead.c.number).label("last"), *died)
        matching = counted.join(routes, routes.c.number == dead.c.route).where(*_conditions(where))
        found = matching.group_by(*same).subquery()
        query = select(found, dead.c.text).join(dead, dead.c.number == found.c.last)
        with self._database.read() as connection:
            ordered = query.order_by(found.c.number_of.desc(), found.c.last)
            return [self._group(row) for row in connection.execute(ordered)]

    def replay(self, where: DeadFilter, *, by: str) -> int:
        return self._change(where, _replay, (by, "replayed", ""))

    def discard(self, where: DeadFilter, *, by: str, reason: str) -> int:
        return self._change(where, _discard, (by, "discarded", reason))

    def _change(self, where: DeadFilter, change: Callable[..., None], entry: tuple[str, str, str]) -> int:
        """In chunks up to the newest dead letter of now: what dies again meanwhile isn't taken twice."""
        last = int(self._database.scalar(select(func.max(dead.c.number))) or 0)
        total = after = 0
        while chosen := self._change_chunk(where, change, entry, (after, last)):
            total += len(chosen)
            after = chosen[-1]
        return total

    def _change_chunk(
        self,
        where: DeadFilter,
        change: Callable[..., None],
        entry: tuple[str, str, str],
        between: tuple[int, int],
    ) -> Sequence[int]:
        who, what, detail = entry
        query = _select(where).where(dead.c.number > between[0], dead.c.number <= between[1])
        with self._database.write() as connection:
            found = connection.execute(query.order_by(dead.c.number).limit(_CHUNK)).all()
            if not found:
                return ()
            endings = Endings(self._database.clock(), who)
            for row in found:
                endings.fail(row.key, row.attempts, what, Failure(who, detail))
                change(connection, endings, row)
            endings.write(connection)
            numbers = ",".join(str(row.number) for row in found)
            enter(connection, endings.now, who, (f"dead letters {what}", f"{detail} [{numbers}]"))
        self._database.ring(Topic.WORK)
        self._database.ring(Topic.OUTCOMES)
        return [row.number for row in found]

    def _group(self, row: Any) -> DeadGroup:
        return DeadGroup(
            route=self._names.route_of(row.route),
            reason=row.reason,
            kind=row.kind,
            count=row.number_of,
            oldest=row.oldest,
            newest=row.newest,
            example=row.text,
        )

    def _letter(self, row: Any, headers: dict[str, str] | None = None, body: bytes = b"") -> DeadLetter:
        return DeadLetter(
            number=row.number,
            route=self._names.route_of(row.route),
            message_id=row.message_id,
            source=row.source,
            reason=row.reason,
            error=f"{row.kind}: {row.text}",
            attempts=row.attempts,
            crashes=row.crashes,
            died_at=row.died_at,
            stack=row.stack,
            headers=headers or {},
            body=body,
        )


def _replay(connection: Connection, endings: Endings, row: Any) -> None:
    batch = connection.execute(select(active.c.batch).where(active.c.key == row.key)).scalar()
    fresh = {"state": WAITING, "due": endings.now, "attempt": 1, "crashes": 0, "suspect": 0, "ambiguous": 0}
    connection.execute(update(active).where(active.c.key == row.key).values(**fresh))
    connection.execute(delete(dead).where(dead.c.number == row.number))
    endings.counts[(batch, row.route, "dead")] -= 1


def _discard(connection: Connection, endings: Endings, row: Any) -> None:
    query = select(active, payloads.c.headers, payloads.c.body).join(payloads, payloads.c.key == active.c.key)
    kept = connection.execute(query.where(active.c.key == row.key)).one()
    message = rows.readable_message(kept.headers, kept.body, kept.message_id)
    ending = Ending(row.key, row.route, kept.source, message, row.attempts, None, kept.batch)
    endings.end(ending, CODE_OF[State.DISCARDED])
    for table in (active, payloads, steps, dead):
        connection.execute(delete(table).where(table.c.key == row.key))
    endings.counts[(kept.batch, row.route, "dead")] -= 1


def _select(where: DeadFilter) -> Any:
    return select(dead).join(routes, routes.c.number == dead.c.route).where(*_conditions(where))


def _conditions(where: DeadFilter) -> list[ColumnElement[bool]]:
    exact = {
        routes.c.queue: where.queue,
        routes.c.group_name: where.group,
        routes.c.handler: where.handler,
        dead.c.message_id: where.message_id,
        dead.c.kind: where.kind,
    }
    found = [column == value for column, value in exact.items() if value]
    if where.numbers:
        found.append(dead.c.number.in_(where.numbers))
    if where.error:
        found.append(
            or_(
                dead.c.kind.icontains(where.error, autoescape=True),
                dead.c.text.icontains(where.error, autoescape=True),
            )
        )
    return found
