# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ours: a whole consumer."""

from __future__ import annotations

import sys

import structlog

from bench.brokers.material import payload
from bench.effects.effect import Effect
from tickrelay_consumer import Consumer, Context
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.message import Message

QUEUE = "effects"
_CHUNK = 5_000


def fill(url: str, number: int) -> None:
    """Put messages on the queue, before anybody's clock runs."""
    with open_broker(url) as broker:
        broker.declare(QueueSpec(QUEUE))
        for start in range(0, number, _CHUNK):
            chunk = range(start, min(number, start + _CHUNK))
            broker.publish(QUEUE, [Message.of(payload(n)) for n in chunk], timeout=60)


def consume(effect: Effect, broker: str, ledger: str, kind: str = "external") -> None:
    """Until the process is ended."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    consumer = Consumer(broker, ledger)

    @consumer.handler(QUEUE, effect=kind, name="effect")
    def append(_message: Message, _context: Context) -> None:
        effect()

    consumer.run(signals=False)
