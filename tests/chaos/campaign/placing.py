# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Where a cell's processes work: its broker, its ledger and its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.brokers.nodes import running
from tests.chaos.campaign.crew import Forge
from tests.chaos.campaign.plan import QUEUE, Cell
from tests.chaos.campaign.stores import Store, store

from tickrelay_messaging.brokers import QueueSpec, open_broker

_OPTIONS = {"redis": "lease=1", "kafka": "session.timeout.ms=2000&heartbeat.interval.ms=300"}


@dataclass(slots=True)
class Place:
    """Where a cell's processes connect to, and its folder."""

    folder: Path
    broker: str
    store: Store
    forge: Forge
    node: Any = None


@contextmanager
def place(cell: Cell, folder: Path) -> Iterator[Place]:
    """Servers, queue and ledger, for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        node, url = None, f"sqlite:///{folder / 'queue.db'}"
        if cell.broker != "sqlite":
            node = stack.enter_context(running(cell.broker, folder))
            options = _OPTIONS.get(cell.broker)
            url = f"{node.url.partition('?')[0]}?{options}" if options else node.url
        with open_broker(url) as broker:
            broker.declare(QueueSpec(QUEUE))
        if node is not None:
            node.declared()
        ledger = stack.enter_context(store(cell.ledger, folder / "ledger"))
        yield Place(folder, url, ledger, stack.enter_context(Forge()), node)
