# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis ledger keeps the contract, on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.services.redis import RedisServer, running_server

from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.redis import RedisLedger
from tickrelay_messaging.testing.ledger_contract import LedgerContract


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests, emptied before each."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


class TestRedisLedger(LedgerContract):
    """`redis:`, for several hosts."""

    transactional = False

    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> None:
        with server.client() as client:
            client.flushall()
        self.url = f"redis://127.0.0.1:{server.port}/0"

    def make_ledger(self, clock: Callable[[], float] | None = None) -> Ledger:
        """Connections to one server."""
        return RedisLedger(self.url, clock)
