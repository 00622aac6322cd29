# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the SQLite ledger share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tickrelay_messaging.ledger.records import Owner, Route
from tickrelay_messaging.ledger.sqlite import SqliteLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger's file will be."""
    return tmp_path / "private" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    """A ledger by the wall clock."""
    with SqliteLedger(path) as ledger:
        yield ledger


@pytest.fixture
def route() -> Route:
    """A handler."""
    return Route("orders", "default", "sync")


@pytest.fixture
def owner(ledger: SqliteLedger, route: Route) -> Owner:
    """A live consumer."""
    return ledger.enroll("one", [route])
