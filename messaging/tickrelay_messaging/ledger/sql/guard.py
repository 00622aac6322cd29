# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What a handler may do with the connection it was lent: everything but end the transaction.

A store's `Transacting` marks its connection while a handler has it in hand; the engine's events look for the mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event

from tickrelay_messaging.errors import CallerError
from tickrelay_messaging.ledger.sql.database import Transacting

_GUARD = "tickrelay_guard"
"""In a connection's `info` while a handler has it in hand: the `Transacting` it belongs to."""
_ENDS_IT = re.compile(
    r"\s*(BEGIN|COMMIT|END|ABORT|START\s+TRANSACTION|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(TRANSACTION\s+)?TO\b))\b",
    re.IGNORECASE,
)
_REFUSAL = (
    "a handler with effect='transaction' must neither commit nor roll back: "
    "its writes commit together with the message's done-mark; raise an exception to undo them"
)
UNDONE = "the transaction was undone because a handler ran past its timeout"


def watch(engine: Engine) -> None:
    """Refuse whatever handlers must not do with a connection they were lent."""
    event.listen(engine, "commit", _refuse_to_end)
    event.listen(engine, "rollback", _refuse_to_end)
    event.listen(engine, "before_cursor_execute", _look_at_statement)


def lend(connection: Connection) -> None:
    """Handlers get this one: closing it is refused for good; `Connection.close(connection)` still does."""
    connection.close = _refuse_to_close  # type: ignore[method-assign]


@contextmanager
def guarded(transacting: Transacting) -> Iterator[None]:
    """A handler has the transaction's connection in hand."""
    info = transacting.connection.info
    info[_GUARD] = transacting
    try:
        yield
    finally:
        info.pop(_GUARD, None)


def forgive(connection: Connection) -> None:
    """A refused commit leaves SQLAlchemy's own mark of a transaction invalid; the next handler would suffer from it."""
    mark = connection.get_transaction()
    if mark is not None and not mark.is_active:
        mark.rollback()


def _refuse_to_end(connection: Connection) -> None:
    if not connection.invalidated and connection.info.get(_GUARD):
        raise CallerError(_REFUSAL)


def _refuse_to_close() -> None:
    raise CallerError(_REFUSAL)


def _look_at_statement(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    guard: Transacting | None = connection.info.get(_GUARD)
    if guard is None:
        return
    guard.check()
    if _ENDS_IT.match(statement):
        raise CallerError(_REFUSAL)
