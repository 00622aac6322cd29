# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""MariaDB keeps the ledger's contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.services.mariadb import MariaDb, running_mariadb

from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.mariadb import MariaDbLedger
from tickrelay_messaging.testing.ledger_contract import LedgerContract


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """One server for all tests, which use databases of their own."""
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


class TestMariaDbLedger(LedgerContract):
    """`mariadb:` and `mysql:`, for several hosts."""

    @pytest.fixture(autouse=True)
    def _database(self, mariadb: MariaDb) -> None:
        self.server, self.database = mariadb, mariadb.new_database()

    @pytest.fixture
    def effects(self) -> Callable[[], list[str]]:
        """The handlers' table is made outside of a transaction, which it would end."""
        self.server.run("CREATE TABLE effects (what LONGTEXT) ENGINE=InnoDB", self.database)
        return lambda: [str(row[0]) for row in self.server.run("SELECT what FROM effects", self.database)]

    def make_ledger(self, clock: Callable[[], float] | None = None) -> Ledger:
        """Connections to one database."""
        return MariaDbLedger(self.server.url(self.database), clock)
