# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Decisions about ticks and the audit trail in Redis."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from tickrelay_messaging.brokers.redis.wire import Argument
from tickrelay_messaging.ledger.keys import SIZE, key_of_tick
from tickrelay_messaging.ledger.records import Retention
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.scripts import ENTER, FORGET_TICKS, RECORD, REMEMBER
from tickrelay_messaging.ledger.schedules import (
    Audit,
    AuditEntry,
    Fingerprint,
    Schedules,
    TickDecision,
    TickFilter,
    TickOutcome,
)

_CHUNK = 200


class RedisSchedules(Schedules):
    """See `base.Schedules`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, decisions: Sequence[TickDecision]) -> None:
        for at in range(0, len(decisions), _CHUNK):
            packed: list[Argument] = []
            for one in decisions[at : at + _CHUNK]:
                packed += _packed(one)
            self._store.run(RECORD, *packed)

    def list(self, where: TickFilter, *, after: int = 0, limit: int = 50) -> list[TickDecision]:
        return list(islice(self._matching(where, after), limit))

    def count(self, where: TickFilter) -> dict[TickOutcome, int]:
        return dict(Counter(one.outcome for one in self._matching(where, 0)))

    def remember(
        self, schedule: str, fingerprint: str, *, since: float, run: float | None = None
    ) -> Fingerprint:
        told = (repr(float(since)), repr(float(run or 0.0)))
        text, generation, began, previous, first, _ = self._store.run(REMEMBER, schedule, fingerprint, *told)
        return Fingerprint(
            text=text.decode(),
            generation=int(generation),
            since=float(began),
            run=float(first),
            previous=previous.decode() or None,
        )

    def forget(self, retention: Retention) -> None:
        """Drop decisions older than that, a few hundred at a time, so that nobody waits for it."""
        while self._store.run(FORGET_TICKS, repr(retention.history)):
            pass

    def _matching(self, where: TickFilter, after: int) -> Iterator[TickDecision]:
        place = "tickorder" if where.schedule is None else f"ticksof:{where.schedule}"
        last: Argument = f"({after}" if after else "+inf"
        while True:
            (numbers,) = self._store.read(("ZREVRANGEBYSCORE", place, last, "-inf", "LIMIT", 0, _CHUNK))
            if not numbers:
                return
            (found,) = self._store.read(("HMGET", "ticks", *numbers))
            for number, kept in zip(numbers, found, strict=True):
                # One that was swept in between is gone.
                if kept is not None and _matches(where, one := _decision(int(number), kept)):
                    yield one
            last = b"(" + numbers[-1]


class RedisAudit(Audit):
    """See `base.Audit`. Entries are numbered by their place from the beginning, as none ever leaves."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def enter(self, *, who: str, what: str, detail: str) -> None:
        self._store.run(ENTER, who, what, detail)

    def list(self, *, about: str = "", after: int = 0, limit: int = 50) -> list[AuditEntry]:
        found = (entry for entry in self._newest_first(after) if about in entry.detail)
        return list(islice(found, limit))

    def _newest_first(self, after: int) -> Iterator[AuditEntry]:
        (size,) = self._store.read(("LLEN", "audit"))
        end = min(size, after - 1) if after else size
        while end > 0:
            start = max(0, end - _CHUNK)
            (kept,) = self._store.read(("LRANGE", "audit", start, end - 1))
            for place in reversed(range(len(kept))):
                entry = json.loads(kept[place])
                yield AuditEntry(
                    number=start + place + 1,
                    at=float(entry["at"]),
                    who=entry["who"],
                    what=entry["what"],
                    detail=entry["detail"],
                )
            end = start


def _packed(one: TickDecision) -> list[Argument]:
    row = [one.schedule, one.tick, one.outcome, one.dag_id, one.run_id, one.task_id, one.reason]
    fired = "1" if one.outcome is TickOutcome.FIRED else "0"
    return [key_of_tick(one.schedule, one.tick, one.task_id), json.dumps(row), one.schedule, fired]


def _decision(number: int, kept: bytes) -> TickDecision:
    head, rest = kept.split(b"\n", 1)
    schedule, tick, outcome, dag_id, run_id, task_id, reason = json.loads(rest[SIZE:])
    return TickDecision(
        schedule=schedule,
        tick=tick,
        outcome=TickOutcome(outcome),
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        reason=reason,
        at=float(head[1:]),
        number=number,
    )


def _matches(where: TickFilter, one: TickDecision) -> bool:
    return (
        where.outcome in (None, one.outcome)
        and (where.since is None or one.tick >= where.since)
        and (where.until is None or one.tick < where.until)
    )
