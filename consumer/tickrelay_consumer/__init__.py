# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Carry out messages: claim, work, settle, acknowledge. Needs no Airflow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tickrelay_consumer.breaker import Breaker, CircuitOpen
    from tickrelay_consumer.consumer import Consumer
    from tickrelay_consumer.context import Context
    from tickrelay_consumer.handlers import Retry
    from tickrelay_consumer.rate import Rate
    from tickrelay_messaging.errors import DeadLetter, RetryLater
    from tickrelay_messaging.message import Message

__all__ = [
    "Breaker",
    "CircuitOpen",
    "Consumer",
    "Context",
    "DeadLetter",
    "Message",
    "Rate",
    "Retry",
    "RetryLater",
]

_HOMES = {
    "Breaker": "tickrelay_consumer.breaker",
    "CircuitOpen": "tickrelay_consumer.breaker",
    "Consumer": "tickrelay_consumer.consumer",
    "Context": "tickrelay_consumer.context",
    "DeadLetter": "tickrelay_messaging.errors",
    "Message": "tickrelay_messaging.message",
    "Rate": "tickrelay_consumer.rate",
    "Retry": "tickrelay_consumer.handlers",
    "RetryLater": "tickrelay_messaging.errors",
}


def __getattr__(name: str) -> object:
    # Imported late (PEP 562): the `tickrelay` command lives in this package, and `tickrelay --help` must not cost
    # the engine, SQLAlchemy and pydantic.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
