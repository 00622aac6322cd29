# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The few statements of the hot path, as driver-level SQL: a batch costs a handful of them, whatever its size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging import envelope
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.sql import mysql
from tickrelay_messaging.ledger.sql.bulk import (
    Statement,
    delete_rows,
    goes_by_row,
    insert_rows,
    update_rows,
)
from tickrelay_messaging.ledger.sql.tables import DEAD, WAITING, active, failures, payloads
from tickrelay_messaging.ledger.sql.tables_buckets import history_table, marks_table
from tickrelay_messaging.message import Message

Key = bytes

_ACTIVE = "key route state owner fence held due message_id source batch digest"
_NEW = "attempt crashes suspect"
INSERT_ACTIVE = insert_rows(active, _ACTIVE, constants=_NEW, values="1 0 0")
INSERT_ACTIVE_OR_NOT = insert_rows(active, _ACTIVE, constants=_NEW, values="1 0 0", ignore=True)
INSERT_FAILURE = insert_rows(failures, "key at attempt what kind text stack owner")
WAIT = update_rows(
    active, f"state = {WAITING}, owner = NULL, held = 1, due = ?, attempt = attempt + ?", "due attempt"
)
HOLD = update_rows(active, "held = 1", "")
BURY = update_rows(active, f"state = {DEAD}, owner = NULL, held = 1, due = NULL", "")
PUT_PAYLOAD = insert_rows(payloads, "key headers body", ignore=True)
DELETE_ACTIVE = delete_rows(active)
DELETE_PAYLOAD = delete_rows(payloads)


@lru_cache(maxsize=256)
def insert_marks(bucket: int) -> Statement:
    """Into a bucket of done-marks."""
    return insert_rows(marks_table(bucket), "key number state tag digest")


@lru_cache(maxsize=64)
def insert_history(bucket: int) -> Statement:
    """Into a bucket of history."""
    return insert_rows(
        history_table(bucket),
        "number key route message_id source batch digest state attempts published_at claimed_at ended_at owner",
    )


def cursor(connection: Connection) -> Any:
    """The driver's own cursor: what a batch does thousands of times a second can't afford SQLAlchemy's 50 us a call."""
    own = connection.connection.cursor()
    if goes_by_row(connection):
        return own
    return _FormatCursor(own, mysql.worded if mysql.speaks(connection) else _formatted)


class _FormatCursor:
    """A cursor of a driver whose parameters are written `%s`; ours are written `?`, and no statement holds a `%`."""

    def __init__(self, own: Any, worded: Callable[[str], str]) -> None:
        self._own = own
        self._worded = worded

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        self._own.execute(self._worded(statement), parameters)
        return self._own


@lru_cache(maxsize=256)
def _formatted(statement: str) -> str:
    return statement.replace("?", "%s")


def payload_row(key: Key, message: Message) -> tuple[Key, str, bytes]:
    """A message as it is kept while it waits."""
    return key, json.dumps(envelope.encode(message)), message.body


def message_of(headers: str, body: bytes) -> Message:
    """Back from `payload_row`."""
    decoded: Mapping[str, str] = json.loads(headers)
    return envelope.decode(decoded, body)


def readable_message(headers: str, body: bytes, message_id: str) -> Message:
    """Back from `payload_row`, or a stand-in for a payload that never could be decoded."""
    try:
        return message_of(headers, body)
    except UndecodableMessage:
        return Message(id=message_id, body=body, content_type=None)
