# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The whole consumer with an SQLite ledger: an effect is a row in the ledger's own file, written in the transaction.

A process of its own, until SIGTERM: `python -m tests.chaos.brokers.worker SETTINGS`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from sqlalchemy import text

from tickrelay_consumer import Consumer, Context, Message

TABLE = "CREATE TABLE IF NOT EXISTS effects (id TEXT NOT NULL, pid INTEGER NOT NULL)"
INSERT = text("INSERT INTO effects VALUES (:id, :pid)")


def build(settings: dict[str, Any]) -> Consumer:
    """Not yet running."""
    consumer = Consumer(settings["url"], settings["ledger"])

    @consumer.handler(settings["queue"], effect="transaction")
    def book(message: Message, ctx: Context) -> None:
        ctx.connection.execute(INSERT, {"id": message.id, "pid": os.getpid()})

    return consumer


if __name__ == "__main__":
    raise SystemExit(build(json.loads(sys.argv[1])).run())
