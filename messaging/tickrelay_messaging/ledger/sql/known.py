# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a ledger knows of messages already, by their keys: those that ended, and those that haven't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.bulk import select_by_key

_DONE_TABLE = "(SELECT d.key, digest, batch, number, state FROM done d JOIN history ON number = d.history) h"


def find_done(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Any]:
    """(key, digest, batch, state, number in the history) by key."""
    return select_by_key(connection, "digest, batch, state, number", _DONE_TABLE, keys)


def forget_done(connection: Connection, row: Any) -> None:
    """As if it had never come; `row` as `find_done` gives it."""
    rows.cursor(connection).execute("DELETE FROM done WHERE key = ?", (row[0],))
    rows.cursor(connection).execute("DELETE FROM history WHERE number = ?", (row[4],))


def find_active(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Any]:
    """(key, digest, batch, state, owner, fence) by key."""
    return select_by_key(connection, "digest, batch, state, owner, fence", "active", keys)
