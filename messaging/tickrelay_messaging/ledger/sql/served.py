# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What SQL databases on a server have in common: owners on many hosts, who hear of each other through it."""

from __future__ import annotations

from abc import abstractmethod

from tickrelay_messaging.ledger.hearing import Bells, Ear
from tickrelay_messaging.ledger.sql.database import Database


class ServedDatabase(Database):
    """A store says how it listens; who waits for what is the same everywhere."""

    def __init__(self) -> None:
        self._bells = Bells(self._listen)

    def wait(self, timeout: float | None) -> bool:
        return self._bells.wait(timeout)

    def hang_bell(self, owner: int) -> None:
        self._bells.hang(owner)

    def wait_for_work(self, owner: int, timeout: float | None) -> bool:
        return self._bells.wait_for_work(owner, timeout)

    def take_bell_down(self, owner: int) -> None:
        self._bells.take_down(owner)

    def is_alive(self, owner: int) -> bool | None:  # noqa: ARG002
        """Only its lease can tell: it may be on another host."""
        return None

    def close(self) -> None:
        self._bells.close()

    @abstractmethod
    def _listen(self) -> Ear:
        """Begin to hear."""
