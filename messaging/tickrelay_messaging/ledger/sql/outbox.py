# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The outbox of a SQL ledger: messages that handlers' transactions have left for the broker.

Rows are marked, never passed by a cursor: two transactions may commit in another order than they drew their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, exists, func, not_, or_, select, update

from tickrelay_messaging.ledger.base import Outbox
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.records import Outgoing, Owner
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import insert_rows
from tickrelay_messaging.ledger.sql.claims import check_owner
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import outbox, owners
from tickrelay_messaging.message import Message

_STAGE = insert_rows(outbox, "queue headers body")
_CHUNK = 1_000


def stage(connection: Connection, queue: str, messages: Sequence[Message]) -> None:
    """Part of the caller's transaction, so that they are there when it has committed, and never otherwise."""
    _STAGE.run(connection, [(queue, *rows.payload_row(b"", message)[1:]) for message in messages])


class SqlOutbox(Outbox):
    """See `base.Outbox`. A taker that isn't in `owners` any more has left its rows to the others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, owner: Owner, limit: int) -> list[Outgoing]:
        is_free = or_(outbox.c.taker.is_(None), not_(exists().where(owners.c.number == outbox.c.taker)))
        if self._database.scalar(select(outbox.c.number).where(is_free).limit(1)) is None:
            return []  # the usual case, which needn't wait for whoever writes
        with self._database.write() as connection:
            check_owner(connection, owner)
            query = select(outbox).where(is_free).order_by(outbox.c.number).limit(limit)
            found = connection.execute(query).all()
            numbers = [row.number for row in found]
            for at in range(0, len(numbers), _CHUNK):
                mark = update(outbox).where(outbox.c.number.in_(numbers[at : at + _CHUNK]))
                connection.execute(mark.values(taker=owner.number))
        return [_outgoing(row) for row in found]

    def sent(self, owner: Owner, numbers: Sequence[int]) -> None:
        with self._database.write() as connection:
            for at in range(0, len(numbers), _CHUNK):
                mine = (outbox.c.number.in_(numbers[at : at + _CHUNK]), outbox.c.taker == owner.number)
                connection.execute(delete(outbox).where(*mine))

    def release(self, owner: Owner, numbers: Sequence[int]) -> None:
        with self._database.write() as connection:
            for at in range(0, len(numbers), _CHUNK):
                mine = (outbox.c.number.in_(numbers[at : at + _CHUNK]), outbox.c.taker == owner.number)
                connection.execute(update(outbox).where(*mine).values(taker=None))
        self._database.ring(Topic.WORK)

    def count(self) -> int:
        return int(self._database.scalar(select(func.count()).select_from(outbox)) or 0)


def _outgoing(row: Any) -> Outgoing:
    message = rows.message_of(row.headers, bytes(row.body))
    return Outgoing(number=row.number, queue=row.queue, message=message)
