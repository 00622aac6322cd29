# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the broker says of a queue that an asset's watcher watches."""

from __future__ import annotations

from dataclasses import dataclass

from tickrelay_airflow.triggers.events import WATCHERS_GROUP
from tickrelay_messaging.brokers import Broker


@dataclass(frozen=True, slots=True)
class Watched:
    """
    Attributes:
        consumers: watchers, so 0 or 1.
        in_flight: messages that a watcher has and hasn't acknowledged.
        left: these, and those it hasn't received.
    """

    consumers: int
    in_flight: int
    left: int


def watched(broker: Broker, queue: str) -> Watched:
    """Of the watchers' own group; all zero before it's declared."""
    rows = [row for row in broker.stats(queue) if row.group == WATCHERS_GROUP]
    in_flight = sum(row.in_flight or 0 for row in rows)
    return Watched(sum(row.consumers for row in rows), in_flight, in_flight + sum(row.ready for row in rows))
