# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The sensors' mailbox in a SQL ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Select, select, update

from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.base import Mailbox
from tickrelay_messaging.ledger.keys import SIZE
from tickrelay_messaging.ledger.records import Mail
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import insert_rows
from tickrelay_messaging.ledger.sql.database import Database, Topic
from tickrelay_messaging.ledger.sql.tables import mailbox
from tickrelay_messaging.message import Message

_INSERT = insert_rows(mailbox, "key queue group_name headers body received_at", ignore=True)


class SqlMailbox(Mailbox):
    """See `base.Mailbox`."""

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

    def take(self, queue: str, group: str, taker: str, match: Callable[[Message], bool]) -> Mail | None:
        here = select(mailbox).where(mailbox.c.queue == queue, mailbox.c.group_name == group)
        taken = here.where(mailbox.c.taker == taker)
        with self._database.read() as connection:
            mine = connection.execute(taken).first()
            free = connection.execute(here.where(mailbox.c.taker.is_(None)).order_by(mailbox.c.number)).all()
        if mine is not None:
            return _mail(mine)
        fitting = (mail for mail in map(_mail_or_none, free) if mail and match(mail.message))
        return self._take_first(fitting, taker, taken)

    def _take_first(self, fitting: Iterable[Mail], taker: str, taken: Select[Any]) -> Mail | None:
        """One write a candidate: somebody else may be quicker, and so may the taker itself in another process."""
        for mail in fitting:
            with self._database.write() as connection:
                if mine := connection.execute(taken).first():
                    return _mail(mine)
                if _mark_taken(connection, mail, taker, self._database.clock()):
                    return mail
        return None


def _mark_taken(connection: Connection, mail: Mail, taker: str, now: float) -> bool:
    free = (mailbox.c.number == mail.number, mailbox.c.taker.is_(None))
    return bool(connection.execute(update(mailbox).where(*free).values(taker=taker, taken_at=now)).rowcount)


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
