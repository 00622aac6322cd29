# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Who writes alone in MariaDB, and a transaction of its ledger that is lent to handlers.

The lock has a name, not a transaction: whoever took it gives it back behind its COMMIT, or the server does when the
connection ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymysql
from pymysql.constants import ER
from sqlalchemy import Connection, Engine, event

from tickrelay_messaging.errors import CallerError, LedgerUnavailable
from tickrelay_messaging.ledger.mariadb.aside import Aside
from tickrelay_messaging.ledger.mariadb.connecting import Connector, Raw, driver, sessions
from tickrelay_messaging.ledger.mariadb.errors import number
from tickrelay_messaging.ledger.sql.lending import LentTransaction

_STALLED = 15
"""Seconds after which who holds the lock and does nothing is thrown out."""
_COMMITS = re.compile(
    r"\s*(?!CREATE\s+TEMPORARY|DROP\s+TEMPORARY)(CREATE|ALTER|DROP|RENAME|TRUNCATE|LOCK|UNLOCK|GRANT|REVOKE|ANALYZE|"
    r"OPTIMIZE|REPAIR|FLUSH|SET\s+(SESSION\s+|@@)?AUTOCOMMIT)\b",
    re.IGNORECASE,
)
_PART = "tickrelay_part"
"""In a connection's `info` while a handler has it in hand."""


def watch(engine: Engine) -> None:
    """Refuse statements of handlers that would commit by themselves."""
    event.listen(engine, "before_cursor_execute", _look_at_statement)


def be_alone(connector: Connector, raw: Raw) -> None:
    """
    Take the lock, and throw out whoever holds it without doing anything.

    Raises:
        LedgerUnavailable: others keep it.
    """
    for _ in range(2):
        (got,) = raw.execute("SELECT GET_LOCK(%s, %s)", (connector.lock, _STALLED)).fetchone()
        if got == 1:
            return
        _throw_out(connector, raw)
    raise LedgerUnavailable(f"{connector.where}: others have been writing for over {2 * _STALLED} s")


def let_others(connector: Connector, raw: Raw) -> None:
    """Give the lock back; a connection that can't has lost it."""
    with suppress(pymysql.MySQLError):
        raw.execute("DO RELEASE_LOCK(%s)", (connector.lock,))


def _throw_out(connector: Connector, raw: Raw) -> None:
    (holder,) = raw.execute("SELECT IS_USED_LOCK(%s)", (connector.lock,)).fetchone()
    what, seconds = sessions(raw).get(holder or 0, ("", 0))
    if what == "Sleep" and seconds >= _STALLED - 1:
        connector.kill(holder)


class MariaDbTransacting(LentTransaction):
    """
    Args:
        connector: knows the lock, and ends a connection through another one.
    """

    _BEGIN = "BEGIN"
    _GONE = "the database has ended the transaction; nothing of it was kept"

    def __init__(self, connection: Connection, connector: Connector) -> None:
        self._connector = connector
        self._is_alone = False
        self._tables = Aside(connector)
        raw = driver(connection)
        raw.undone = False
        super().__init__(connection, raw)

    @contextmanager
    def part(self) -> Iterator[None]:
        info = self.connection.info
        info[_PART] = True
        try:
            with super().part():
                yield
        finally:
            info.pop(_PART, None)

    def be_alone(self) -> bool:
        with self._state:
            self.check()
            be_alone(self._connector, self._raw)
            self._is_alone = True
            self._raw.aside = self._tables.take
        return False

    def _is_there(self) -> bool:
        return bool(self._raw.open) and not self._raw.undone

    def _undo(self) -> None:
        self._raw.aside = None
        rollback(self.connection)
        if self._is_alone and not self.connection.invalidated:
            let_others(self._connector, self._raw)

    def _undo_from_outside(self) -> None:
        self._connector.kill(self._raw.thread_id())

    def _run(self, statement: str) -> None:
        try:
            super()._run(statement.replace("RELEASE part", "RELEASE SAVEPOINT part"))
        except pymysql.MySQLError as error:
            if number(error) == ER.SP_DOES_NOT_EXIST:
                self._raw.undone = True
                raise LedgerUnavailable(self._GONE) from error
            raise


def rollback(connection: Connection) -> None:
    """Undo; a connection that can't even do that is thrown away, where SQLAlchemy hasn't seen to it."""
    if connection.invalidated:
        return
    raw = driver(connection)
    try:
        raw.execute("ROLLBACK")
    except pymysql.MySQLError:
        connection.invalidate()


def _look_at_statement(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    if connection.info.get(_PART) and _COMMITS.match(statement):
        raise CallerError(
            "MariaDB and MySQL commit before and behind a statement like this one, so effect and done-mark would no "
            "longer commit together; do it outside of the handler"
        )
