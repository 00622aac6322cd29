# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages that come to their end while they wait: expired, revoked or skipped, never carried out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.ledger.records import State
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.endings import CODE_OF, Ending, Endings
from tickrelay_messaging.ledger.sql.steps import forget
from tickrelay_messaging.message import Message


def end_waiting(
    connection: Connection, endings: Endings, ended: Sequence[tuple[Any, Message, State]]
) -> None:
    """
    Gather their ends and remove what is kept of them.

    Args:
        ended: rows of `active`, with their messages and what became of them.
    """
    for row, message, state in ended:
        ending = Ending(row.key, row.route, row.source, message, row.attempt - 1, None, row.batch)
        endings.end(ending, CODE_OF[state])
    rows.DELETE_ACTIVE.run(connection, [(row.key,) for row, _, _ in ended])
    rows.DELETE_PAYLOAD.run(connection, [(row.key,) for row, _, _ in ended])
    forget(connection, [row.key for row, _, _ in ended if row.stepped])
