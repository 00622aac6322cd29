# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The demo's books: which orders were published, which had their effect, and how often."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import DeadFilter

DAG_ID = "order_sync"
QUEUE = "orders"
_RECENT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCounts:
    """
    Every order of the shop, over the home's whole life.

    Attributes:
        published: orders whose publishing task has had all its messages confirmed and its batch closed.
        effects: rows that the handler has written.
        duplicates: rows beyond the first of an order.
        lost: published orders without a row that are no dead letter.
        dead: dead letters.
        pending: orders placed and not published yet.
    """

    published: int
    effects: int
    duplicates: int
    lost: int
    dead: int
    pending: int

    @property
    def settled(self) -> bool:
        """Whether every order placed has come to its end."""
        return self.pending == 0 and self.lost == 0


class OrderBook:
    """
    Reads the shop's and the ledger's database; writes nothing.

    Args:
        ledger_url: the ledger's database, where the handler writes its effects.
    """

    def __init__(self, shop: Path, ledger: Ledger, ledger_url: str) -> None:
        self._shop = shop
        self._ledger = ledger
        self._engine: Engine = create_engine(ledger_url, poolclass=NullPool)
        self._shop_engine: Engine = create_engine(
            f"sqlite:///file:{shop}?mode=ro&uri=true", poolclass=NullPool
        )
        self._closed: set[str] = set()

    def count(self) -> OrderCounts:
        """Compare what was published with what was done, order by order."""
        placed = self._placed()
        published = {order for order, run in placed.items() if run is not None and self._is_closed(run)}
        rows, done = self._effects()
        dead = self._ledger.dead_letters.count(DeadFilter(queue=QUEUE))
        return OrderCounts(
            published=len(published),
            effects=rows,
            duplicates=rows - len(done),
            lost=max(0, len(published - done) - dead),
            dead=dead,
            pending=len(placed.keys() - published),
        )

    def first_effect_since(self, instant: datetime) -> datetime | None:
        """When the first effect at or after an instant was written."""
        since = instant.isoformat(timespec="milliseconds")
        rows = self._select("SELECT min(done_at) FROM order_effects WHERE done_at >= :since", since=since)
        return datetime.fromisoformat(rows[0][0]) if rows and rows[0][0] else None

    def latency(self) -> float | None:
        """Median seconds from an order's placing to its effect, over the last 50."""
        rows = self._select(
            "SELECT ordered_at, done_at FROM order_effects ORDER BY done_at DESC LIMIT :most", most=_RECENT
        )
        spans = [datetime.fromisoformat(b) - datetime.fromisoformat(a) for a, b in rows]
        return statistics.median(span.total_seconds() for span in spans) if spans else None

    def _placed(self) -> dict[int, str | None]:
        """Each order with the run that took it."""
        if not self._shop.exists():
            return {}
        with self._shop_engine.connect() as shop:
            rows = shop.execute(text("SELECT order_id, run_id FROM orders"))
            return {row.order_id: row.run_id for row in rows}

    def _is_closed(self, run_id: str) -> bool:
        if run_id not in self._closed:
            batches = self._ledger.batches.find(dag_id=DAG_ID, run_id=run_id)
            if not batches or any(batch.closed_at is None for batch in batches):
                return False
            self._closed.add(run_id)
        return True

    def _effects(self) -> tuple[int, set[int]]:
        orders = [row[0] for row in self._select("SELECT order_id FROM order_effects")]
        return len(orders), set(orders)

    def _select(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """Rows of the effects' table; none while the first order hasn't made it."""
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query), values)]
        except DBAPIError as error:
            if "order_effects" in str(error.orig):
                return []
            raise
