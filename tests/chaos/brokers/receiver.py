# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Receives and acknowledges, with a bare subscription and no ledger, until SIGTERM.

What is received is written down before it is acknowledged, so that an acknowledged message is never missing from the
history. A process of its own: `python -m tests.chaos.brokers.receiver SETTINGS`.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from typing import Any

from tests.chaos.brokers.history import History

from tickrelay_messaging.brokers import Delivery, Subscription, open_broker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import ServiceError

MOST = 500
PAUSE = 0.05


class Receiver:
    """
    Args:
        subscription: its own.
    """

    def __init__(self, subscription: Subscription, history: History, seed: int) -> None:
        self._subscription = subscription
        self._history = history
        self._dice = random.Random(seed)
        self._owed: list[Delivery] = []
        self._stopping = False

    def stop(self, *_: object) -> None:
        """As a signal handler."""
        self._stopping = True
        self._subscription.wake()

    def joined(self) -> None:
        """Tell that it is there."""
        self._history.write("joined")

    def run(self) -> None:
        """Until stopped; what can't be acknowledged now is acknowledged later."""
        while not self._stopping:
            try:
                self._turn()
            except ServiceError as error:
                self._history.write("trouble", error=f"{type(error).__name__}: {error}"[:300])
                time.sleep(PAUSE)

    def _turn(self) -> None:
        if self._owed:
            self._subscription.acknowledge(self._owed)
            self._owed = []
        taken = self._subscription.receive(self._dice.randint(1, MOST), timeout=0.5)
        if taken:
            ids = [decode(one.headers, one.body).id for one in taken]
            self._history.write("received", ids, again=sum(one.redelivered for one in taken))
            self._owed = taken


def main(settings: dict[str, Any]) -> None:
    """The process."""
    with open_broker(settings["url"]) as broker, broker.subscribe(settings["queue"]) as subscription:
        receiver = Receiver(subscription, History(settings["history"]), settings["seed"])
        signal.signal(signal.SIGTERM, receiver.stop)
        receiver.joined()
        receiver.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
