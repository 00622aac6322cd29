# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A shop whose customers keep ordering: the business database that `order_sync` reads.

    python examples/orders/shop.py --rate 2        # until Ctrl-C
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

CUSTOMERS = ("Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Tony")
SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    order_id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    run_id TEXT
);
CREATE INDEX IF NOT EXISTS orders_run_id ON orders (run_id);
"""
INSERT = "INSERT INTO orders (customer, amount_cents, created_at) VALUES (?, ?, ?)"


def open_shop(path: Path) -> sqlite3.Connection:
    """The shop's database, with its table; made if it doesn't exist."""
    database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    return database


class Generator:
    """
    Places orders at an even rate.

    Args:
        path: the shop's database.
        rate: orders a second, above 0.
        seed: the same seed gives the same customers and amounts.
    """

    def __init__(self, path: Path, rate: float, *, seed: int | None = None) -> None:
        self._database = open_shop(path)
        self._pause = 1 / rate
        self._random = random.Random(seed)  # noqa: S311 - toy data
        self._stop = threading.Event()
        self.placed = 0

    def place(self) -> None:
        """Place one order."""
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        amount = self._random.randrange(500, 50_000)
        self._database.execute(INSERT, (self._random.choice(CUSTOMERS), amount, created))
        self.placed += 1

    def run(self) -> None:
        """Place orders until `stop`."""
        while not self._stop.wait(self._pause):
            self.place()
        self._database.close()

    def stop(self) -> None:
        """End `run`; from any thread or signal handler."""
        self._stop.set()


def main() -> None:
    """Place orders until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="Place orders in the demo shop.")
    parser.add_argument("--rate", type=float, default=2.0, help="orders a second (default: 2)")
    parser.add_argument("--shop", type=Path, default=os.environ.get("TICKRELAY_SHOP", ".tickrelay/shop.db"))
    options = parser.parse_args()
    if options.rate <= 0:
        parser.error("--rate must be above 0")
    generator = Generator(options.shop, options.rate)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: generator.stop())
    generator.run()


if __name__ == "__main__":
    main()
