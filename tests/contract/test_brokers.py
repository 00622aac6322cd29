# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Every broker that needs no service keeps the contract."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.testing import BrokerContract


class TestMemoryBroker(BrokerContract):
    """`memory:`, for tests."""

    @pytest.fixture(autouse=True)
    def _space(self) -> None:
        self.url = f"memory:{uuid4().hex}"

    def make_broker(self) -> Broker:
        """Brokers of one name share their queues."""
        return open_broker(self.url)


class TestSqliteBroker(BrokerContract):
    """`sqlite:`, the embedded default."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path}/queues.db"

    def make_broker(self) -> Broker:
        """Connections to one file."""
        return open_broker(self.url)
