# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Publishes numbered messages as far as it is allowed to; killed and started again, it goes on with what isn't confirmed.

It passes the failpoints that `tickrelay_airflow.publishing` passes, and like that, a new try publishes the same ids.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos.brokers.history import History, read
from tests.chaos.campaign.plan import QUEUE

from tickrelay_messaging.brokers import Broker, open_broker
from tickrelay_messaging.errors import PublishUnconfirmed, ServiceError
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.message import Message

LARGEST_CALL = 60
LATER = 10
"""Every so many messages are due only a moment later."""
LOOK = 0.005


def number_of(name: str) -> int:
    """The number in a message's id."""
    return int(name[1:])


def make(number: int, soon: float = 0.3) -> Message:
    """
    The message of a number.

    Args:
        soon: seconds until those are due that are due later; more than a busy machine takes until they are claimed,
            where the ledger has to have them.
    """
    at = datetime.now(UTC) + timedelta(seconds=soon) if number % LATER == 0 else None
    return Message.of({"number": number}, id=f"m{number}", key=f"k{number % 97}", deliver_at=at)


class Pace:
    """A file with the number of messages that may be published, and one that says there will be no more."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "pace"

    def allow(self, count: int, *, last: bool = False) -> None:
        """So many in all."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{count} {int(last)}")
        fresh.rename(self._file)

    def read(self) -> tuple[int, bool]:
        """How many, and whether that is all."""
        count, last = self._file.read_text().split()
        return int(count), last == "1"


def publish_paced(settings: dict[str, Any], history: History) -> int:
    """Until all that is allowed is confirmed; returns the exit code."""
    folder = Path(settings["folder"])
    pace, dice = Pace(folder), random.Random(time.monotonic_ns())
    tried, confirmed = (set(read(folder, kind, "publisher.jsonl")) for kind in ("invoked", "confirmed"))
    left = sorted(number_of(name) for name in tried - confirmed)
    at = 1 + max((number_of(name) for name in tried), default=-1)
    with open_broker(settings["broker"]) as broker:
        while True:
            allowed, last = pace.read()
            if not left:
                end = min(allowed, at + dice.randint(1, LARGEST_CALL))
                left, at = list(range(at, end)), max(at, end)
            if left:
                left = _publish(broker, left, history)
            elif last:
                return 0
            else:
                time.sleep(LOOK)


def _publish(broker: Broker, numbers: list[int], history: History) -> list[int]:
    messages = [make(number) for number in numbers]
    ids = [message.id for message in messages]
    history.write("invoked", ids)
    failpoint("publish.before_send")
    try:
        broker.publish(QUEUE, messages, timeout=10)
    except PublishUnconfirmed as error:
        named = set(error.ids)
        history.write("named", error.ids, error=str(error)[:300])
        history.write("confirmed", [one for one in ids if one not in named])
        return [number_of(name) for name in ids if name in named]
    except ServiceError as error:
        history.write("refused", ids, error=f"{type(error).__name__}: {error}"[:300])
        time.sleep(LOOK)
        return numbers
    failpoint("publish.after_confirm")
    history.write("confirmed", ids)
    return []
