# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the rooms of a SQL ledger need from their database: transactions, a clock, and a way to wake who waits."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Executable

from tickrelay_messaging.ledger.hearing import Topic


class Transacting(ABC):
    """A writing transaction in progress."""

    connection: Connection
    is_open: bool

    @abstractmethod
    def abort(self) -> None:
        """Undo it, from any thread, and let other writers go on. What its user does with it afterwards fails."""

    @abstractmethod
    def part(self) -> AbstractContextManager[None]:
        """
        One message's share: undone alone if it fails. Inside, the connection can neither commit nor roll back.

        Raises:
            ClaimLost: the transaction was aborted.
            LedgerUnavailable: the database has undone the whole of it.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise what `part` raises, if the transaction isn't there any more."""

    def be_alone(self) -> bool:
        """
        Let nobody else write to the ledger until the commit.

        Returns:
            whether it was alone from its beginning, so that what was read then still holds.
        """
        return True


class Database(ABC):
    """
    One SQL database under a ledger. A store provides this, its hot path (`claims`), and nothing else.

    Attributes:
        clock: Unix seconds by the store's clock; injectable for tests.
    """

    clock: Callable[[], float] = staticmethod(time.time)

    @abstractmethod
    def read(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state and writes nothing."""

    @abstractmethod
    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that writes: commits on a clean exit, else undoes everything."""

    @abstractmethod
    def ring(self, topic: Topic) -> None:
        """Wake whoever waits for this topic; called after the commit."""

    @abstractmethod
    def wait(self, timeout: float | None) -> bool:
        """Wait for `Topic.OUTCOMES`; the first call of a thread returns True at once, as it may have missed one."""

    @abstractmethod
    def hang_bell(self, owner: int) -> None:
        """Prove that the owner lives from now on, and let it hear `Topic.WORK`."""

    @abstractmethod
    def wait_for_work(self, owner: int, timeout: float | None) -> bool:
        """Wait for `Topic.WORK`, in the process that owns the bell."""

    @abstractmethod
    def take_bell_down(self, owner: int) -> None:
        """The owner leaves."""

    @abstractmethod
    def is_alive(self, owner: int) -> bool | None:
        """Whether the owner's process lives; None where only its lease can tell."""

    @abstractmethod
    def transact(self) -> AbstractContextManager[Transacting]:
        """A writing transaction that another thread may abort."""

    @abstractmethod
    def drop(self, table: str, *, ordered_by: str) -> bool:
        """
        Drop a table that nobody looks into any more, without keeping a writer waiting.

        Args:
            ordered_by: the column whose order its rows lie in.

        Returns:
            False where it has to be tried again later.
        """

    @abstractmethod
    def close(self) -> None:
        """Close every connection."""

    def scalar(self, statement: Executable) -> Any:
        """The first column of the first row, or None."""
        with self.read() as connection:
            return connection.execute(statement).scalar()
