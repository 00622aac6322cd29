# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis ledger against the model: whatever people, publishers and consumers do, in any order."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import initialize
from tests.services.redis import RedisServer, running_server
from tests.unit.ledger.test_model import ROUTE, LedgerMachine

from tickrelay_messaging.ledger.records import BatchInfo
from tickrelay_messaging.ledger.redis import RedisLedger
from tickrelay_messaging.testing.ledger_case import LEASE, Clock
from tickrelay_messaging.testing.ledger_model import Model

SERVERS: list[RedisServer] = []


@pytest.fixture(scope="module", autouse=True)
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One server, emptied before each history."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        SERVERS.append(server)
        yield
    SERVERS.clear()


class RedisMachine(LedgerMachine):
    """The same rules on another ledger."""

    @initialize()
    def begin(self) -> None:
        with SERVERS[0].client() as client:
            client.flushall()
        self.clock = Clock()
        self.ledger = RedisLedger(f"redis://127.0.0.1:{SERVERS[0].port}/0", self.clock)
        self.owners = [self.ledger.enroll(f"owner {number}", [ROUTE], lease=LEASE) for number in range(3)]
        self.claims = []
        self.model = Model()
        self.ordinal = self.ledger.batches.open(BatchInfo(id="b", queue=ROUTE.queue))

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()


RedisMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("TICKRELAY_EXAMPLES", "50")),
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


class TestRedisLedgerModel(RedisMachine.TestCase):
    """Whatever happens, the ledger says what the model says."""
