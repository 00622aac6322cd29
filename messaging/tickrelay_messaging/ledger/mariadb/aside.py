# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Tables that are made or dropped while the ledger writes.

The server commits before such a statement, so half of what belongs together would last alone. A new table is made on
a connection of its own (an empty one that nobody uses does no harm), an old one dropped behind the COMMIT; both under
the writer's lock. So an index can only be made of a table that the transaction hasn't looked into.
"""

from __future__ import annotations

import re

from tickrelay_messaging.ledger.mariadb.connecting import Connector

_CREATES = re.compile(r"\s*CREATE\s+(TABLE|INDEX)\b", re.IGNORECASE)
_DROPS = re.compile(r"\s*DROP\s+TABLE\b", re.IGNORECASE)


class Aside:
    """
    Args:
        connector: makes the other connection.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._drops: list[str] = []

    def take(self, statement: str) -> bool:
        """Whether it makes or drops a table, or makes an index; then it is seen to."""
        if _CREATES.match(statement):
            self._run([statement])
            return True
        if _DROPS.match(statement):
            self._drops.append(statement)
            return True
        return False

    def finish(self) -> None:
        """The transaction has committed: drop what it wanted dropped."""
        if self._drops:
            self._run(self._drops)

    def _run(self, statements: list[str]) -> None:
        raw = self._connector.connect()
        try:
            for statement in statements:
                raw.execute(statement)
        finally:
            raw.close()
