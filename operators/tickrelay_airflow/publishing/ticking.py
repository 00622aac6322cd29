# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`ticks=True`: the messages of each tick, as if the task had run at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pendulum

from tickrelay_airflow.publishing.payloads import Composer, Defaults, Item
from tickrelay_airflow.publishing.runs import Occasion, ScheduledRun, Tick
from tickrelay_messaging.ids import TaskIdentity

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tickrelay_messaging.message import Message

Compose = Callable[["Context"], tuple[Iterator[Item], Defaults]]
"""From a tick's context its payloads, and what holds for all of them."""


class Ticking:
    """
    Makes the messages of a run's ticks.

    A tick's messages are named by the tick instead of the run, so that every run that covers it, a backfill or another
    scheduler's, publishes the same ids. A run by hand has a tick of its own, and so its run's name.

    Args:
        extensions: CloudEvents extensions that every message carries.
    """

    def __init__(self, run: ScheduledRun, identity: TaskIdentity, extensions: Mapping[str, str]) -> None:
        self._run = run
        self._identity = identity
        self._extensions = extensions

    def messages(self, ticks: Iterable[Tick], context: Context, compose: Compose) -> Iterator[Message]:
        """The messages of these ticks, in their order, made as they are asked for."""
        for tick in ticks:
            items, defaults = compose(self._context(tick, context))
            of_tick = replace(defaults, deliver_at=tick.due, tick=tick.at)
            composer = Composer(self._named(tick), of_tick, self._extensions)
            yield from composer.messages(items, since=tick.due)

    def _context(self, tick: Tick, context: Context) -> Context:
        """The task's, with `tick` in UTC and `tick_local` in the schedule's zone."""
        in_utc = pendulum.instance(tick.at).in_timezone(pendulum.UTC)
        return cast("Context", {**context, "tick": in_utc, "tick_local": self._run.local(tick)})

    def _named(self, tick: Tick) -> TaskIdentity:
        if self._run.occasion is Occasion.BY_HAND:
            return self._identity
        return replace(self._identity, run_id=tick.at.isoformat())
