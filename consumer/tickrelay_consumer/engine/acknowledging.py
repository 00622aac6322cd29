# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Acknowledges what is finished. What the broker can't take now stays owed: acknowledged late is better than never."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tickrelay_consumer.engine.shared import Shared
from tickrelay_consumer.engine.work import Received
from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.errors import ServiceError


class Acknowledger:
    """For one thread."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._owed: defaultdict[Subscription, list[Delivery]] = defaultdict(list)

    def __bool__(self) -> bool:
        """Whether something is owed."""
        return bool(self._owed)

    def add(self, finished: Iterable[Received]) -> None:
        """These are every handler's no more."""
        for one in finished:
            self._owed[one.subscription].append(one.delivery)

    def flush(self) -> bool:
        """Acknowledge what is owed, a round trip a subscription; returns whether nothing is left."""
        for subscription, deliveries in list(self._owed.items()):
            if subscription in self._shared.ended:
                del self._owed[subscription]  # they come again, and the ledger knows them
                continue
            try:
                subscription.acknowledge(deliveries)
                del self._owed[subscription]
            except ServiceError as error:
                self._shared.note_trouble("broker", error, "can't acknowledge", messages=len(deliveries))
        return not self._owed
