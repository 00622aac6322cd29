# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The coming ticks of a schedule, from what Airflow has read of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pendulum

from tickrelay_airflow.control.records import ComingTick, Definition
from tickrelay_airflow.control.revoking import covers
from tickrelay_airflow.cron import Cron
from tickrelay_airflow.cron.windows import Bounds, Jitter, Ticks, instant, span
from tickrelay_messaging.ledger.records import Revocation

_CRON = ("timezone", "gap", "overlap", "dialect", "seed")


def ticks_after(definition: Definition, after: datetime) -> Iterator[datetime]:
    """
    Its ticks, strictly after an instant and within the bounds of schedule and DAG; without end.

    Raises:
        CronError: its settings can't be used.
    """
    ticks = _ticks(definition.settings)
    starts = definition.starts
    tick = ticks.after(after) if starts is None or starts <= after else ticks.at_or_after(starts)
    while tick is not None and (definition.ends is None or tick <= definition.ends):
        yield tick
        tick = ticks.after(tick)


def due_of(definition: Definition, tick: datetime) -> datetime:
    """When a tick's work is to begin: delayed by its jitter. Revocations go by it, as messages carry it."""
    most = span("jitter", definition.settings.get("jitter", 0))
    return tick + Jitter(most=most, seed=definition.settings.get("seed", "")).of(tick)


def coming(
    definition: Definition, count: int, revocations: Sequence[Revocation] = (), *, now: datetime | None = None
) -> list[ComingTick]:
    """The next few ticks, each with the revocation that covers it, if one does."""
    where = pendulum.timezone(definition.timezone)
    found = []
    for tick in islice(ticks_after(definition, now or datetime.now(UTC)), count):
        due = due_of(definition, tick)
        by = next((one.number for one in revocations if covers(one, tick, due)), None)
        local = f"{tick.astimezone(where):%Y-%m-%d %H:%M:%S %Z}"
        found.append(ComingTick(at=tick, due=due, local=local, revoked=by))
    return found


def _ticks(settings: dict[str, Any]) -> Ticks:
    cron = Cron(settings["expression"], **{name: settings[name] for name in _CRON if name in settings})
    start, end = (instant(name, settings.get(name)) for name in ("start", "end"))
    return Ticks(cron, Bounds(start=start, end=end))
