# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A SQLite broker of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.sqlite import SqliteBroker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the broker's file will be."""
    return tmp_path / "private" / "queues.db"


@pytest.fixture
def broker(path: Path) -> Iterator[SqliteBroker]:
    """A broker with the queue `q`."""
    with SqliteBroker(path) as broker:
        broker.declare(QueueSpec("q"))
        yield broker
