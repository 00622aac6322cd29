# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A broker that delivers out of order, twice, and late, as any broker may after a failure."""

from __future__ import annotations

import random
from typing import Any

from tickrelay_messaging.brokers import Broker, Delivery, Subscription, open_broker


def distorted(url: str, seed: int) -> Broker:
    """The broker behind a URL, with a bad day."""
    broker: Any = open_broker(url)
    subscribe, dice = broker.subscribe, random.Random(seed)

    def subscribed(*given: Any) -> Subscription:
        subscription: Subscription = subscribe(*given)
        receive = subscription.receive
        late: list[Delivery] = []

        def received(limit: int, timeout: float | None = 0.0) -> list[Delivery]:
            taken = [*late, *receive(limit, 0.05 if late else timeout)]
            late[:] = [one for one in taken if dice.random() < 0.2]
            kept = [one for one in taken if one not in late]
            kept += [one for one in kept if dice.random() < 0.3]
            dice.shuffle(kept)
            return kept

        subscription.receive = received  # type: ignore[method-assign]
        return subscription

    broker.subscribe = subscribed
    made: Broker = broker
    return made
