# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What `tickrelay doctor` looks at in the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._facts import kind_of, settings_of
from tickrelay_consumer.commands._findings import Check, Status
from tickrelay_consumer.commands._options import open_ledger
from tickrelay_consumer.durability import UNKNOWN, durability_of
from tickrelay_consumer.settings import Settings
from tickrelay_messaging.brokers import redact
from tickrelay_messaging.brokers.base import GroupStats
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.reports import RouteStats

_OVERDUE = 60.0
"""Parked work this many seconds past its due time is waiting for a consumer, not for its turn."""


def ledger_checks(settings: Settings, groups: list[GroupStats]) -> Iterator[Check]:
    begun = time.perf_counter()
    with closing(open_ledger(settings.ledger)) as ledger:
        stats = ledger.history.stats()
        took = (time.perf_counter() - begun) * 1000
        yield Check(
            "ledger", Status.OK, f"{redact(settings.ledger)} answers in {took:.0f} ms, id {ledger.id}"
        )
        yield _durability(settings.ledger, ledger)
        yield _consumers(ledger, groups)
    yield _dead(stats)
    yield from _overdue(stats)


def _durability(url: str, ledger: Ledger) -> Check:
    found = durability_of(kind_of(url), settings_of(url, ledger))
    if not found.window:
        return Check("ledger durability", Status.OK, found.setting)
    status = Status.INFO if found == UNKNOWN else Status.WARN
    remedy = (
        "" if found == UNKNOWN else "see docs/guide/guarantees.md; tickrelay explain says whom it concerns"
    )
    return Check("ledger durability", status, f"{found.setting}: {found.window}", remedy)


def _consumers(ledger: Ledger, groups: list[GroupStats]) -> Check:
    found = ledger.history.consumers()
    alive = sum(record.alive for record in found)
    gone = [record for record in found if not record.alive and record.claims]
    if gone:
        names = ", ".join(record.owner.name for record in gone)
        return Check(
            "consumers",
            Status.WARN,
            f"{alive} alive; died with messages in hand: {names}",
            "start a consumer; it takes them over",
        )
    if not alive:
        work = any(stats.ready for stats in groups)
        return Check(
            "consumers",
            Status.WARN if work else Status.INFO,
            "none is alive",
            "tickrelay consume TARGET starts one",
        )
    return Check("consumers", Status.OK, f"{alive} alive")


def _dead(stats: list[RouteStats]) -> Check:
    dead = {one.route: one.dead for one in stats if one.dead}
    if not dead:
        return Check("dead letters", Status.OK, "none")
    where = ", ".join(f"{number:,} of {route.queue}/{route.handler}" for route, number in dead.items())
    return Check("dead letters", Status.WARN, where, "tickrelay dead list; then replay or discard them")


def _overdue(stats: list[RouteStats]) -> Iterator[Check]:
    now = time.time()
    for one in stats:
        late = now - one.oldest_waiting if one.oldest_waiting is not None else 0.0
        if late > _OVERDUE:
            yield Check(
                f"handler {one.route.handler}",
                Status.WARN,
                f"waiting work is overdue by {console.age(late)} ({console.many(one.waiting, 'message')} waiting)",
                f"start a consumer of queue {one.route.queue}, group {one.route.group}",
            )
