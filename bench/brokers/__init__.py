# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
RabbitMQ, Kafka and Redis Streams: publishing, receiving, waiting, and a task that publishes a million messages.

Ours, the bare client and the peers take turns on one server, each in a process of its own that lives as long as its
row. A row's figure is the median of its rounds, its ratio the median of the rounds' ratios.
"""

from __future__ import annotations


def main(*, short: bool) -> None:
    """Print all tables."""
    from bench.brokers import (
        table,
    )  # here: a contestant's process, a module of this package, needs none of it

    table.main(short=short)
