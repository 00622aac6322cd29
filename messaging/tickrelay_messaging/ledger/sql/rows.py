# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The few statements of the hot path, as driver-level SQL: a batch costs a handful of them, whatever its size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging import envelope
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.sql.tables import WAITING
from tickrelay_messaging.message import Message

Key = bytes

_MOST_KEYS = 4_096
"""Parameters in one statement; a power of two, below every database's limit."""

INSERT_ACTIVE = (
    "INSERT INTO active (key, route, state, owner, fence, attempt, crashes, suspect, held, due, message_id, source, "
    "batch, digest) VALUES (?,?,?,?,?,1,0,0,?,?,?,?,?,?)"
)
INSERT_HISTORY = (
    "INSERT INTO history (number, key, route, message_id, source, batch, digest, state, attempts, published_at, "
    "claimed_at, ended_at, owner) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
INSERT_DONE = "INSERT INTO done (key, history) VALUES (?,?)"
INSERT_FAILURE = (
    "INSERT INTO failures (key, at, attempt, what, kind, text, stack, owner) VALUES (?,?,?,?,?,?,?,?)"
)
WAIT = f"UPDATE active SET state = {WAITING}, owner = NULL, held = 1, due = ?, attempt = attempt + ? WHERE key = ?"  # noqa: S608
PUT_PAYLOAD = "INSERT INTO payloads (key, headers, body) VALUES (?,?,?) ON CONFLICT (key) DO NOTHING"
DELETE_ACTIVE = "DELETE FROM active WHERE key = ?"
DELETE_PAYLOAD = "DELETE FROM payloads WHERE key = ?"


def cursor(connection: Connection) -> Any:
    """The driver's own cursor: what a batch does thousands of times a second can't afford SQLAlchemy's 50 us a call."""
    return connection.connection.cursor()


@lru_cache(maxsize=64)
def _select_in(columns: str, table: str, count: int) -> str:
    return f"SELECT {columns} FROM {table} WHERE key IN ({','.join('?' * count)})"  # noqa: S608 - no data in it


def select_by_key(connection: Connection, columns: str, table: str, keys: Sequence[Key]) -> dict[Key, Any]:
    """
    Rows by key.

    The list is padded to a power of two, so that the database prepares few statements rather than one for each length.
    """
    found: dict[Key, Any] = {}
    for at in range(0, len(keys), _MOST_KEYS):
        chunk = keys[at : at + _MOST_KEYS]
        size = 1 << (len(chunk) - 1).bit_length()
        padded = (*chunk, *(chunk[-1],) * (size - len(chunk)))
        rows = cursor(connection).execute(_select_in("key, " + columns, table, size), padded)
        found.update((row[0], row) for row in rows)
    return found


def run_many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """One statement for many rows; none for none."""
    if rows:
        cursor(connection).executemany(statement, rows)


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
