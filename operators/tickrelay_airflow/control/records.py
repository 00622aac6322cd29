# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What is told about schedules, the same to the command, the API and the page. Instants are aware, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from tickrelay_messaging.ledger.records import Revocation
from tickrelay_messaging.ledger.schedules import AuditEntry, TickDecision


def instant(seconds: float) -> datetime:
    """Unix seconds as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


class ComingTick(BaseModel):
    """
    A tick ahead.

    Attributes:
        due: when its work begins: later than the tick where the schedule has jitter.
        local: the same instant as the schedule's zone writes it.
        revoked: number of the revocation because of which nothing will come of it.
    """

    at: datetime
    due: datetime
    local: str
    revoked: int | None = None


class Run(BaseModel):
    """One of Airflow's runs of the DAG."""

    run_id: str
    kind: str
    state: str
    after: datetime


class Decision(BaseModel):
    """What a publishing task made of a tick; see `TickOutcome`."""

    tick: datetime
    outcome: str
    task_id: str
    run_id: str
    reason: str
    at: datetime
    number: int

    @classmethod
    def of(cls, one: TickDecision) -> Decision:
        """From the ledger's record."""
        return cls(
            tick=instant(one.tick),
            outcome=one.outcome.value,
            task_id=one.task_id,
            run_id=one.run_id,
            reason=one.reason,
            at=instant(one.at),
            number=one.number,
        )


class Change(BaseModel):
    """Something somebody did by hand: what to the schedule, who, when and, in `detail`, why."""

    at: datetime
    who: str
    what: str
    detail: str
    number: int

    @classmethod
    def of(cls, one: AuditEntry) -> Change:
        """From the ledger's record."""
        return cls(at=instant(one.at), who=one.who, what=one.what, detail=one.detail, number=one.number)


class InForce(BaseModel):
    """
    A revocation.

    Attributes:
        kind: `pause`, `skip` (one tick), or `revocation` for every other.
    """

    number: int
    kind: str
    since: datetime
    until: datetime | None
    by: str
    reason: str
    at: datetime

    @classmethod
    def of(cls, one: Revocation, kind: str) -> InForce:
        """From the ledger's record."""
        until = None if one.until is None else instant(one.until)
        return cls(
            number=one.number,
            kind=kind,
            since=instant(one.since),
            until=until,
            by=one.by,
            reason=one.reason,
            at=instant(one.at),
        )


class Definition(BaseModel):
    """
    A DAG and its `CronSchedule`, as Airflow has read them.

    Attributes:
        schedule: its id in messages and in the ledger, `<deployment>/<dag_id>`.
        ledger: id of the ledger that Airflow's connection names, if it names one that answers.
        settings: the arguments of its `CronSchedule`.
        starts: the DAG has no ticks before.
        ends: and none after.
        file: where Airflow found it.
        editable: whether whoever asked may change it.
    """

    dag_id: str
    schedule: str
    ledger: str | None
    expression: str
    words: str
    timezone: str
    settings: dict[str, Any]
    paused: bool
    broken: bool = False
    starts: datetime | None = None
    ends: datetime | None = None
    file: str = ""
    editable: bool = True

    @classmethod
    def unread(cls, dag_id: str, schedule: str) -> Definition:
        """Of a DAG about which Airflow couldn't be asked."""
        return cls(
            dag_id=dag_id,
            schedule=schedule,
            ledger=None,
            expression="",
            words="",
            timezone="UTC",
            settings={},
            paused=False,
        )


class ScheduleView(Definition):
    """
    One schedule with what is going on.

    Attributes:
        next: the coming ticks, whether Airflow is paused or not.
        runs: Airflow's newest runs of it, the newest first.
        last: the newest decision about one of its ticks.
        misfires: ticks of the last day that came too late and were left out; None if the ledger doesn't say.
    """

    next: list[ComingTick] = []
    runs: list[Run] = []
    revocations: list[InForce] = []
    last: Decision | None = None
    misfires: int | None = None


class Schedules(BaseModel):
    """
    A page of schedules, by name.

    Attributes:
        total: how many there are on all pages.
        problem: why the ledger's part is missing; empty if it isn't.
    """

    schedules: list[ScheduleView]
    total: int
    problem: str = ""


class HistoryView(BaseModel):
    """Decisions about ticks and changes by hand, each the newest first."""

    dag_id: str
    schedule: str
    decisions: list[Decision]
    changes: list[Change]


class Outcome(BaseModel):
    """
    What a verb has done.

    Attributes:
        changed: whether anything is other than before; False where it had been done already.
        text: in words, for people.
        facts: the same for programs.
    """

    dag_id: str
    verb: str
    changed: bool
    text: str
    facts: dict[str, Any] = {}
