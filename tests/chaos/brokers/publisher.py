# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Publishes numbered messages until all are confirmed, whatever becomes of the broker meanwhile.

It does as `Broker.publish` tells a caller to: exactly the ids that an error names are published again, and the whole
call where nothing was sent. A process of its own: `python -m tests.chaos.brokers.publisher SETTINGS`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from tests.chaos.brokers.history import History

from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.errors import PublishUnconfirmed, ServiceError
from tickrelay_messaging.message import Message

LARGEST_CALL = 1000
PAUSE = 0.05


def publish_all(broker: Broker, settings: dict[str, Any], history: History) -> None:
    """In calls of 1 to 1,000 messages with time limits of 1 to 10 s."""
    dice, at = random.Random(settings["seed"]), 0
    while at < settings["messages"]:
        end = min(settings["messages"], at + dice.randint(1, settings.get("call", LARGEST_CALL)))
        left = [
            Message.of({"number": n}, id=f"m{n}", key=f"k{n % 97}" if n % 2 else None) for n in range(at, end)
        ]
        while left:
            left = _publish(broker, settings["queue"], left, history, dice.uniform(1, 10))
        at = end


def _publish(
    broker: Broker, queue: str, messages: list[Message], history: History, timeout: float
) -> list[Message]:
    """One call; returns what must be published again."""
    ids = [message.id for message in messages]
    history.write("invoked", ids)
    try:
        broker.publish(queue, messages, timeout=timeout)
    except PublishUnconfirmed as error:
        named = set(error.ids)
        history.write("named", error.ids, error=str(error)[:300])
        history.write("confirmed", [one for one in ids if one not in named])
        time.sleep(PAUSE)
        return [message for message in messages if message.id in named]
    except ServiceError as error:
        history.write("refused", ids, error=f"{type(error).__name__}: {error}"[:300])
        time.sleep(PAUSE)
        return messages
    history.write("confirmed", ids)
    return []


def main() -> None:
    """The process."""
    settings = json.loads(sys.argv[1])
    with open_broker(settings["url"]) as broker:
        publish_all(broker, settings, History(settings["history"]))


if __name__ == "__main__":
    main()
