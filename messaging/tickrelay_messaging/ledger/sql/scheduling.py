# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Decisions about ticks in a SQL ledger: a row each, small and few beside the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, func, select, update

from tickrelay_messaging.ledger.keys import hash_of, key_of_tick
from tickrelay_messaging.ledger.records import Retention
from tickrelay_messaging.ledger.schedules import Fingerprint, Schedules, TickDecision, TickFilter, TickOutcome
from tickrelay_messaging.ledger.sql.bulk import insert_rows, update_rows
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import schedules, ticks

_SLICE = 500
"""Old decisions dropped in one transaction, so that no other writer notices."""
_RECORD = insert_rows(ticks, "key schedule tick outcome dag_id run_id task_id reason at", ignore=True)
_FIRE = update_rows(
    ticks, "outcome = ?, run_id = ?, reason = ?, at = ?", "outcome run_id reason at", "outcome <> 'fired'"
)
_BEGIN = insert_rows(schedules, "key schedule fingerprint generation since begun latest", ignore=True)


class SqlSchedules(Schedules):
    """See `base.Schedules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, decisions: Sequence[TickDecision]) -> None:
        if not decisions:
            return
        now = self._database.clock()
        fired = [one for one in decisions if one.outcome is TickOutcome.FIRED]
        with self._database.write() as connection:
            _RECORD.run(connection, [_row(one, now) for one in decisions])
            _FIRE.run(
                connection,
                [(one.outcome.value, one.run_id, one.reason, now, _key(one)) for one in fired],
            )

    def list(self, where: TickFilter, *, after: int = 0, limit: int = 50) -> list[TickDecision]:
        query = select(ticks).where(*_conditions(where)).order_by(ticks.c.number.desc()).limit(limit)
        if after:
            query = query.where(ticks.c.number < after)
        with self._database.read() as connection:
            return [_decision(row) for row in connection.execute(query)]

    def count(self, where: TickFilter) -> dict[TickOutcome, int]:
        query = select(ticks.c.outcome, func.count()).where(*_conditions(where)).group_by(ticks.c.outcome)
        with self._database.read() as connection:
            return {TickOutcome(outcome): int(number) for outcome, number in connection.execute(query)}

    def remember(
        self, schedule: str, fingerprint: str, *, since: float, run: float | None = None
    ) -> Fingerprint:
        mine = select(schedules).where(schedules.c.key == hash_of(schedule))
        # Mostly it's the form that is known, and then nobody needs to wait for a writer.
        with self._database.read() as connection:
            row = connection.execute(mine).first()
        at = run or 0.0
        if row is None or at > _latest(row):
            row = self._change(mine, (schedule, fingerprint), since, at)
        return Fingerprint(
            text=row.fingerprint,
            generation=row.generation,
            since=row.since,
            run=row.since if row.begun is None else row.begun,
            previous=row.previous,
        )

    def _change(self, mine: Select[Any], form: tuple[str, str], since: float, run: float) -> Row[Any]:
        schedule, fingerprint = form
        key = hash_of(schedule)
        with self._database.write() as connection:
            _BEGIN.run(connection, [(key, schedule, fingerprint, 0, since, run, run)])
            row = connection.execute(mine.with_for_update()).one()
            if run > _latest(row):
                values = {"latest": run, **_new_form(row, fingerprint, since, run)}
                connection.execute(update(schedules).where(schedules.c.key == key).values(**values))
                row = connection.execute(mine).one()
        return row

    def forget(self, retention: Retention) -> None:
        """Drop decisions older than that, the oldest first, slice by slice."""
        until = self._database.clock() - retention.history
        while len(old := self._oldest(until)) > 0:
            with self._database.write() as connection:
                connection.execute(delete(ticks).where(ticks.c.number.in_(old)))

    def _oldest(self, until: float) -> Sequence[int]:
        query = select(ticks.c.number, ticks.c.at).order_by(ticks.c.number).limit(_SLICE)
        with self._database.read() as connection:
            return [row.number for row in connection.execute(query) if row.at < until]


def _latest(row: Row[Any]) -> float:
    """The latest run; a row that an older program has written doesn't say."""
    return float(row.since if row.latest is None else row.latest)


def _new_form(row: Row[Any], fingerprint: str, since: float, run: float) -> dict[str, Any]:
    if row.fingerprint == fingerprint:
        return {}
    changed = {"fingerprint": fingerprint, "previous": row.fingerprint, "since": since}
    return {**changed, "generation": row.generation + 1, "begun": run}


def _key(one: TickDecision) -> bytes:
    return key_of_tick(one.schedule, one.tick, one.task_id)


def _row(one: TickDecision, now: float) -> tuple[Any, ...]:
    names = (one.dag_id, one.run_id, one.task_id)
    return (_key(one), one.schedule, one.tick, one.outcome.value, *names, one.reason, now)


def _conditions(where: TickFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if where.schedule is not None:
        found.append(ticks.c.schedule == where.schedule)
    if where.outcome is not None:
        found.append(ticks.c.outcome == where.outcome.value)
    if where.since is not None:
        found.append(ticks.c.tick >= where.since)
    if where.until is not None:
        found.append(ticks.c.tick < where.until)
    return found


def _decision(row: Any) -> TickDecision:
    return TickDecision(
        schedule=row.schedule,
        tick=row.tick,
        outcome=TickOutcome(row.outcome),
        dag_id=row.dag_id,
        run_id=row.run_id,
        task_id=row.task_id,
        reason=row.reason,
        at=row.at,
        number=row.number,
    )
