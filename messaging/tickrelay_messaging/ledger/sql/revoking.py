# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Revocations in a SQL ledger: one row each, looked at when a schedule's message is claimed or due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.base import Revocations
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.records import Revocation, State
from tickrelay_messaging.ledger.schedules import tick_of
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.auditing import enter
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.ending_waiting import end_waiting
from tickrelay_messaging.ledger.sql.endings import Endings
from tickrelay_messaging.ledger.sql.tables import WAITING, active, payloads, revocations
from tickrelay_messaging.message import Message

_CHUNK = 500
"""Waiting messages looked at in one transaction, so that no other writer waits long."""


def in_force(connection: Connection, messages: Iterable[Message]) -> list[Revocation]:
    """Those of the messages' schedules; asks nothing if none has one."""
    schedules = {name for message in messages if (name := message.extensions.get("scheduleid"))}
    if not schedules:
        return []
    query = select(revocations).where(revocations.c.schedule.in_(schedules))
    return [_revocation(row) for row in connection.execute(query)]


def is_covered(message: Message, taken_back: Sequence[Revocation]) -> bool:
    """Whether a message is one of those taken back; one without any instant never is."""
    schedule, said = message.extensions.get("scheduleid"), message.extensions.get("generation", "0")
    if not taken_back or schedule is None:
        return False
    generation = int(said) if said.isdecimal() else 0
    return any(
        one.schedule == schedule and generation <= one.generation and _holds(one, message)
        for one in taken_back
    )


def _holds(one: Revocation, message: Message) -> bool:
    when = tick_of(message) if one.by_tick else message.deliver_at or message.time
    if when is None:
        return False
    instant = when.timestamp()
    return one.since <= instant and (one.until is None or instant < one.until)


def replace_revoked(
    connection: Connection, key: bytes, message: Message, taken_back: Sequence[Revocation], *, waits: bool
) -> bool:
    """
    Let a message take the place of an older generation that was taken back, and waits or is in somebody's hands.

    Else it would be parked with the old payload, which is dropped when it's due, and both were lost.
    """
    if not taken_back or is_covered(message, taken_back):
        return False
    query = select(payloads.c.headers, payloads.c.body).where(payloads.c.key == key)
    kept = connection.execute(query).first()
    if kept is None or _covered(kept, taken_back) is None:
        return False
    fresh = {"digest": message.extensions.get("digest"), **({"attempt": 1} if waits else {})}
    connection.execute(update(active).where(active.c.key == key).values(**fresh))
    rows.DELETE_PAYLOAD.run(connection, [(key,)])
    rows.PUT_PAYLOAD.run(connection, [rows.payload_row(key, message)])
    return True


class SqlRevocations(Revocations):
    """See `base.Revocations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revoke(self, revocation: Revocation) -> int:
        one = revocation
        values = {"schedule": one.schedule, "since": one.since, "until": one.until, "reason": one.reason}
        values["by_tick"] = int(one.by_tick)
        with self._database.write() as connection:
            now = self._database.clock()
            entry = insert(revocations).values(**values, generation=one.generation, who=one.by, at=now)
            number = int(connection.execute(entry).inserted_primary_key[0])  # type: ignore[index]  # one was inserted
            detail = f"{one.schedule} [{number}] from {one.since} to {one.until}: {one.reason}"
            enter(connection, now, one.by, ("revoked", detail))
        self._take_back_waiting(one)
        return number

    def lift(self, number: int, *, by: str) -> bool:
        with self._database.write() as connection:
            mine = revocations.c.number == number
            schedule = connection.execute(select(revocations.c.schedule).where(mine)).scalar()
            is_there = connection.execute(delete(revocations).where(mine)).rowcount > 0
            if is_there:
                entry = ("revocation lifted", f"{schedule} [{number}]")
                enter(connection, self._database.clock(), by, entry)
        return is_there

    def list(self, schedule: str | None = None) -> list[Revocation]:
        query = select(revocations).order_by(revocations.c.number)
        if schedule is not None:
            query = query.where(revocations.c.schedule == schedule)
        with self._database.read() as connection:
            return [_revocation(row) for row in connection.execute(query)]

    def _take_back_waiting(self, one: Revocation) -> None:
        """What waits would be noticed when due as well, but nothing should show it as waiting until then."""
        last: bytes | None = b""
        while last is not None:
            with self._database.write() as connection:
                found = connection.execute(_waiting_of_schedules(last)).all()
                endings = Endings(self._database.clock(), one.by)
                ended = [
                    (row, message, State.REVOKED)
                    for row in found
                    if (message := _covered(row, [one])) is not None
                ]
                end_waiting(connection, endings, ended)
                endings.write(connection)
            last = bytes(found[-1].key) if len(found) == _CHUNK else None
        self._database.ring(Topic.WORK)
        self._database.ring(Topic.OUTCOMES)


def _waiting_of_schedules(after: bytes) -> Any:
    return (
        select(active, payloads.c.headers, payloads.c.body)
        .join(payloads, payloads.c.key == active.c.key)
        .where(active.c.state == WAITING, active.c.key > after)
        .where(payloads.c.headers.contains('"ce_scheduleid"'))
        .order_by(active.c.key)
        .limit(_CHUNK)
    )


def _covered(row: Any, taken_back: Sequence[Revocation]) -> Message | None:
    """The payload's message, if it can be read and is one of those taken back."""
    try:
        message = rows.message_of(row.headers, row.body)
    except UndecodableMessage:
        return None
    return message if is_covered(message, taken_back) else None


def _revocation(row: Any) -> Revocation:
    return Revocation(
        schedule=row.schedule,
        since=row.since,
        until=row.until,
        generation=row.generation,
        by=row.who,
        reason=row.reason,
        at=row.at,
        number=row.number,
        by_tick=bool(row.by_tick),
    )
