# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A laboratory for each test of the consumer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from consumer_lab import Lab, Process

from tickrelay_messaging import sqlite_file
from tickrelay_messaging.brokers.sqlite import file, store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked file is waited for 0.3 s rather than 10."""
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.3)
    for module in (file, store):
        monkeypatch.setattr(module, "PATIENCE", 0.3)


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A queue and a ledger of the test's own."""
    if "impatient" in request.fixturenames:
        request.getfixturevalue("impatient")
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def _starter() -> Iterator[None]:
    yield
    Process.close_starter()
