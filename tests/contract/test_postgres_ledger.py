# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL keeps the ledger's contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.services.postgres import Postgres, running_postgres

from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.postgres import PostgresLedger
from tickrelay_messaging.testing.ledger_contract import LedgerContract


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for all tests, which use databases of their own."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


class TestPostgresLedger(LedgerContract):
    """`postgresql:`, for several hosts."""

    @pytest.fixture(autouse=True)
    def _database(self, postgres: Postgres) -> None:
        self.url = postgres.new_database()

    def make_ledger(self, clock: Callable[[], float] | None = None) -> Ledger:
        """Connections to one database."""
        return PostgresLedger(self.url, clock)
