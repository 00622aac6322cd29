# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The demo's consumer: carries out each order once, and what the other shipped schedules ask for.

    tickrelay consume examples/orders/consumer.py:consumer
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from sqlalchemy import text

from tickrelay_consumer import Consumer, Context, Message, Retry

log = structlog.get_logger()
consumer = Consumer()

# No unique constraint on purpose: an order carried out twice would be two rows, and `tickrelay up` counts them.
TABLE = text("""
CREATE TABLE IF NOT EXISTS order_effects (
    order_id BIGINT NOT NULL,
    message_id VARCHAR(64) NOT NULL,
    run_id VARCHAR(255),
    customer VARCHAR(255) NOT NULL,
    amount_cents BIGINT NOT NULL,
    ordered_at VARCHAR(40) NOT NULL,
    done_at VARCHAR(40) NOT NULL
)""")
EFFECT = text("""
INSERT INTO order_effects (order_id, message_id, run_id, customer, amount_cents, ordered_at, done_at)
VALUES (:order_id, :message_id, :run_id, :customer, :amount_cents, :ordered_at, :done_at)""")


@consumer.handler("orders", effect="transaction", retry=Retry(first=1, factor=2, attempts=3), timeout=30)
def sync_order(message: Message, ctx: Context) -> None:
    """Write the order down; the row and the message's done-mark commit together, so it is there once."""
    order = message.data
    ctx.connection.execute(TABLE)
    ctx.connection.execute(
        EFFECT,
        {
            "order_id": order["order_id"],
            "message_id": message.id,
            "run_id": message.extensions.get("runid"),
            "customer": order["customer"],
            "amount_cents": order["amount_cents"],
            "ordered_at": order["created_at"],
            "done_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        },
    )


@consumer.handler("heartbeat")
def beat(message: Message, ctx: Context) -> None:
    """Say that the schedule ticks."""
    log.info("heartbeat", **message.data, attempt=ctx.attempt)


@consumer.handler("reports")
def report(message: Message, ctx: Context) -> None:
    """Stand in for a report; `idempotency_key` is what a real service would be given."""
    log.info("report", **message.data, idempotency_key=ctx.idempotency_key)


@consumer.handler("maintenance")
def maintain(message: Message, ctx: Context) -> None:
    """Stand in for a cache refresh."""
    log.info("maintenance", **message.data, idempotency_key=ctx.idempotency_key)
