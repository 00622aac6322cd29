# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From a sensors' group at the broker into the ledger's mailbox; acknowledged only when it is there."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.records import Failure, Route

if TYPE_CHECKING:
    from tickrelay_messaging.brokers.base import Delivery, Subscription
    from tickrelay_messaging.ledger.base import Ledger

LIMIT = 256
"""Most messages that are received, kept and acknowledged at once."""
PATIENCE = 5.0
"""Seconds that a look in a worker waits for the first message; becoming a member may take most of it."""
HANDLER = "sensor"
"""The handler's name under which a message that no sensor can read becomes a dead letter."""


def collect(subscription: Subscription, ledger: Ledger, timeout: float) -> int:
    """
    Move what the group has into the mailbox; returns how many messages that were.

    Args:
        timeout: longest wait for the first message in seconds.

    Raises:
        ServiceError: broker or ledger failed; what wasn't acknowledged comes again.
    """
    deliveries = subscription.receive(LIMIT, timeout)
    if not deliveries:
        return 0
    readable = [delivery for delivery in deliveries if _keep(ledger, delivery)]
    if readable:
        ledger.mailbox.put(readable[0].queue, readable[0].group, readable)
    subscription.acknowledge(deliveries)
    return len(deliveries)


def _keep(ledger: Ledger, delivery: Delivery) -> bool:
    """Whether a delivery can be read; one that can't is made a dead letter, so that nothing waits behind it."""
    try:
        decode(delivery.headers, delivery.body).data  # noqa: B018 - reading it is the test
    except UndecodableMessage as error:
        failure = Failure(type(error).__name__, str(error), traceback.format_exc())
        ledger.bury(Route(delivery.queue, delivery.group, HANDLER), [delivery], failure)
        return False
    return True
