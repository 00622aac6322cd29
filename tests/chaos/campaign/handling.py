# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The handlers of a campaign: each leaves an effect where it can be counted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from sqlalchemy import text
from tests.chaos.brokers.history import History
from tests.chaos.campaign.plan import QUEUE

from tickrelay_consumer import Consumer, Context, Message, Retry
from tickrelay_consumer.batching import BatchContext

SETTINGS = "TICKRELAY_CAMPAIGN_SETTINGS"
"""In the environment of child processes."""
INSERT = text("INSERT INTO effects (id, fence, attempt, at, pid) VALUES (:id, :fence, :attempt, :at, :pid)")
EFFECTS_KEY = "campaign:effects"
FAILING = 13
"""Every so many messages fail at first."""

Row = dict[str, Any]


def register(consumer: Consumer, settings: Row, history: History) -> None:
    """The one that the settings ask for."""
    effect = settings["effect"]
    handlers = Handlers(settings, history)
    given = {"retry": Retry(first=0.05, factor=1), **settings.get("handler", {})}
    if settings.get("batch"):
        given |= {"batch": settings["batch"], "batch_wait": 0.02}
        consumer.handler(QUEUE, effect=effect, name=effect, **given)(handlers.batch)
        return
    consumer.handler(QUEUE, effect=effect, name=effect, **given)(handlers.of(effect))


class Handlers:
    """One for each effect."""

    def __init__(self, settings: Row, history: History) -> None:
        self._settings = settings
        self._history = history
        self._batches = count()

    def of(self, effect: str) -> Callable[[Message, Context], None]:
        """By its name."""
        found: Callable[[Message, Context], None] = getattr(self, effect)
        return found

    def transaction(self, message: Message, ctx: Context) -> None:
        """A row beside the ledger's."""
        ctx.connection.execute(INSERT, self._begin(message, ctx))

    def redis(self, message: Message, ctx: Context) -> None:
        """An entry beside the ledger's."""
        ctx.redis("RPUSH", EFFECTS_KEY, json.dumps(list(self._begin(message, ctx).values())))

    def external(self, message: Message, ctx: Context) -> None:
        """A line in a file."""
        self._write(self._begin(message, ctx))

    def batch(self, messages: list[Message], ctx: BatchContext) -> None:
        """A line each; whoever dies in between has done the first of them."""
        call = next(self._batches)
        for message in messages:
            try:
                row = self._begin(message, ctx.of(message))
            except ValueError as error:
                ctx.fail(message, error)
            else:
                self._write(row, call=call)

    def _write(self, row: Row, **more: object) -> None:
        self._history.write("effect", [row["id"]], row=list(row.values()), **more)

    def _begin(self, message: Message, ctx: Context) -> Row:
        number, settings = message.data["number"], self._settings
        if settings.get("told"):
            self._history.write("began", [message.id], pid=os.getpid())
        if number in settings.get("poison", ()):
            os.kill(os.getpid(), 9)
        if settings.get("pause"):
            time.sleep(settings["pause"])
        if number % FAILING == 1 and ctx.attempt == 1:
            raise ValueError("the first attempt of every thirteenth")
        return {
            "id": message.id,
            "fence": ctx.fence,
            "attempt": ctx.attempt,
            "at": time.monotonic(),
            "pid": os.getpid(),
        }
