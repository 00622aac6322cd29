# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A transaction that is lent to handlers, whatever the database: a savepoint a message, and an end from outside."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, ClassVar

from sqlalchemy import Connection

from tickrelay_messaging.errors import ClaimLost, LedgerUnavailable
from tickrelay_messaging.ledger.sql.database import Transacting
from tickrelay_messaging.ledger.sql.guard import UNDONE, forgive, guarded, lend


class LentTransaction(Transacting):
    """
    Handlers get SQLAlchemy's connection, whose statements are looked at before they run; the transaction's own ones go
    past it, as handlers may leave it in any state.

    Args:
        connection: idle, taken over; after an abort it's thrown away, as its user may still hold it.
        raw: the driver's connection under it.
    """

    _BEGIN: ClassVar[str]
    _GONE: ClassVar[str]
    """What to say when the database has ended the transaction by itself."""

    def __init__(self, connection: Connection, raw: Any) -> None:
        self.connection = connection
        self._raw = raw
        self._state = Lock()
        self.is_open = False
        lend(connection)
        try:
            raw.execute(self._BEGIN)
        except BaseException:
            self._close()
            raise
        self.is_open = True

    @abstractmethod
    def _is_there(self) -> bool:
        """Whether the database still has the transaction."""

    @abstractmethod
    def _undo(self) -> None:
        """Undo it, unless that has happened."""

    @abstractmethod
    def _undo_from_outside(self) -> None:
        """Undo it while its user may be in the middle of a statement, and let it write no more."""

    def _check_part(self) -> None:
        """Raise if a handler that came to its end can't have had its effect."""

    def _let_go(self) -> None:
        """The transaction has ended, whichever way: others may go on."""

    @contextmanager
    def part(self) -> Iterator[None]:
        self._run("SAVEPOINT part")
        try:
            with guarded(self):
                yield
            self._check_part()
        except BaseException:
            self._undo_part()
            raise
        self._run("RELEASE part")
        forgive(self.connection)

    def check(self) -> None:
        if not self.is_open:
            raise ClaimLost(UNDONE)
        if not self._is_there():
            raise LedgerUnavailable(self._GONE)

    def commit(self) -> None:
        """
        Make it all last.

        Raises:
            ClaimLost: it was aborted.
        """
        with self._state:
            self.check()
            self._raw.execute("COMMIT")
            self._close()

    def abort(self) -> None:
        with self._state:
            if self.is_open:
                self.is_open = False  # From here on the guard refuses the handler's statements.
                self._undo_from_outside()
                self._let_go()

    def end(self) -> None:
        """Undo what wasn't committed."""
        with self._state:
            if self.is_open:
                self._close()
            elif not self.connection.closed:
                self.connection.invalidate()
                Connection.close(self.connection)

    def _undo_part(self) -> None:
        if self.is_open:
            self._run("ROLLBACK TO part")
            self._run("RELEASE part")
            forgive(self.connection)

    def _run(self, statement: str) -> None:
        with self._state:
            self.check()
            self._raw.execute(statement)

    def _close(self) -> None:
        self.is_open = False
        try:
            self._undo()
            Connection.close(self.connection)
        finally:
            self._let_go()
