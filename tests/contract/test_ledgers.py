# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Every ledger that needs no service keeps the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.testing.ledger_contract import LedgerContract


class TestSqliteLedger(LedgerContract):
    """`sqlite:`, the embedded default."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "ledger.db"

    def make_ledger(self, clock: Callable[[], float] | None = None) -> Ledger:
        """Connections to one file."""
        return SqliteLedger(self.path, clock)
