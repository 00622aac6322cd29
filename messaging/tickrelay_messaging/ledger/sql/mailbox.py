# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The sensors' mailbox in a SQL ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, delete, select, update

from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.keys import SIZE
from tickrelay_messaging.ledger.mailbox import PAGE, Mailbox
from tickrelay_messaging.ledger.records import Mail
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import insert_rows
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import mailbox

_INSERT = insert_rows(mailbox, "key queue group_name headers body received_at", ignore=True)
_MOST = 500
"""Values in one statement."""


class SqlMailbox(Mailbox):
    """
    See `ledger.mailbox.Mailbox`. It relies on one writer at a time (`Database.write`): so numbers become visible in
    their order, and nobody gives one taker two.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, queue: str, group: str, deliveries: Sequence[Delivery]) -> None:
        now = self._database.clock()
        entered = [
            (_key(queue, group, item), queue, group, json.dumps(dict(item.headers)), item.body, now)
            for item in deliveries
        ]
        with self._database.write() as connection:
            _INSERT.run(connection, entered)
        self._database.ring(Topic.OUTCOMES)

    def free(self, queue: str, group: str, *, after: int = 0, limit: int = PAGE) -> list[Mail]:
        return self._page(_here(queue, group).where(mailbox.c.taker.is_(None)), after, limit)

    def all(
        self, queue: str, group: str, *, since: float = 0.0, after: int = 0, limit: int = PAGE
    ) -> list[Mail]:
        return self._page(_here(queue, group).where(mailbox.c.received_at >= since), after, limit)

    def held(self, queue: str, group: str, takers: Sequence[str]) -> dict[str, Mail]:
        with self._database.read() as connection:
            return _held(connection, queue, group, takers)

    def give(self, queue: str, group: str, gifts: Sequence[tuple[int, str]]) -> list[Mail | None]:
        if not gifts:
            return []
        with self._database.write() as connection:
            held = _held(connection, queue, group, [taker for _, taker in gifts])
            free = _free(connection, _here(queue, group), [number for number, _ in gifts])
            given: list[dict[str, Any]] = []
            for number, taker in gifts:
                if taker not in held and number in free:
                    held[taker] = free.pop(number)
                    given.append({"its_number": number, "its_taker": taker})
            if given:
                connection.execute(_give(self._database.clock()), given)
        return [held.get(taker) for _, taker in gifts]

    def forget(self, before: float, *, limit: int = PAGE) -> int:
        old = select(mailbox.c.number).where(mailbox.c.received_at < before)
        with self._database.write() as connection:
            numbers = (
                connection.execute(old.order_by(mailbox.c.number).limit(min(limit, _MOST))).scalars().all()
            )
            if numbers:
                connection.execute(delete(mailbox).where(mailbox.c.number.in_(numbers)))
        return len(numbers)

    def _page(self, wanted: Select[Any], after: int, limit: int) -> list[Mail]:
        """The next page with anything readable in it."""
        while True:
            with self._database.read() as connection:
                page = wanted.where(mailbox.c.number > after).order_by(mailbox.c.number).limit(limit)
                found = connection.execute(page).all()
            mails = [mail for mail in map(_mail_or_none, found) if mail]
            if mails or len(found) < limit:
                return mails
            after = found[-1].number


def _here(queue: str, group: str) -> Select[Any]:
    return select(mailbox).where(mailbox.c.queue == queue, mailbox.c.group_name == group)


def _held(connection: Connection, queue: str, group: str, takers: Sequence[str]) -> dict[str, Mail]:
    found: dict[str, Mail] = {}
    for at in range(0, len(takers), _MOST):
        asked = _here(queue, group).where(mailbox.c.taker.in_(takers[at : at + _MOST]))
        found |= {row.taker: mail for row in connection.execute(asked) if (mail := _mail_or_none(row))}
    return found


def _free(connection: Connection, here: Select[Any], numbers: Sequence[int]) -> dict[int, Mail]:
    found: dict[int, Mail] = {}
    for at in range(0, len(numbers), _MOST):
        asked = here.where(mailbox.c.taker.is_(None), mailbox.c.number.in_(numbers[at : at + _MOST]))
        found |= {row.number: mail for row in connection.execute(asked) if (mail := _mail_or_none(row))}
    return found


def _give(now: float) -> Update:
    mine = mailbox.c.number == bindparam("its_number")
    return update(mailbox).where(mine).values(taker=bindparam("its_taker"), taken_at=now)


def _key(queue: str, group: str, item: Delivery) -> bytes:
    """By source and id where the message has them; one without is known by its place on the queue."""
    try:
        message = envelope.decode(item.headers, item.body)
        name = (message.source, message.id)
    except UndecodableMessage:
        name = ("", item.position)
    return blake2b(json.dumps([queue, group, *name]).encode(), digest_size=SIZE).digest()


def _mail(row: Any) -> Mail:
    return Mail(
        number=row.number, message=rows.message_of(row.headers, row.body), received_at=row.received_at
    )


def _mail_or_none(row: Any) -> Mail | None:
    """A message that can't be read fits no sensor; it stays in the mailbox to be looked at."""
    try:
        return _mail(row)
    except UndecodableMessage:
        return None
