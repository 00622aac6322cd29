# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What becomes of a tick: decided by the publishing task, which knows the tick and the time.

Timetables run inside the scheduler, where an error stops a schedule silently; here it is a red task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import pendulum

from tickrelay_airflow.cron.windows import Span, span
from tickrelay_airflow.publishing.runs import Occasion, ScheduledRun, Tick, require_schedule
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import Revocation
from tickrelay_messaging.ledger.schedules import TickOutcome

Misfire = Literal["all", "latest", "none"]
Overlap = Literal["all", "skip", "queue"]
ON_TIME = timedelta(minutes=1)
"""A tick that is late by no more is published whatever the misfire policy says."""
_GRAIN = 1.0
"""Seconds between two ticks at least: a revocation that covers less was made for one tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """
    What becomes of ticks that come late, and of those whose predecessor is still at work.

    Attributes:
        misfire: of late ticks publish all, only the latest that is due, or none.
        threshold: how late a tick may be before it's a misfire.
        overlap: all: whatever runs. skip: leave out a run's tick while an earlier run is at it. queue: one after the
            other, which is the DAG's `max_active_runs=1`.

    Raises:
        ConfigurationError: one of them can't be used.
    """

    misfire: Misfire = "all"
    threshold: timedelta = ON_TIME
    overlap: Overlap = "all"

    def __post_init__(self) -> None:
        """Check them."""
        for name, allowed in (("misfire", get_args(Misfire)), ("overlap", get_args(Overlap))):
            if getattr(self, name) not in allowed:
                choice = ", ".join(map(repr, allowed))
                raise ConfigurationError(
                    f"{name}={getattr(self, name)!r} is not known; write one of {choice}"
                )

    @classmethod
    def of(cls, misfire: Misfire, threshold: Span, overlap: Overlap) -> Policies:
        """
        From an operator's arguments.

        Raises:
            ConfigurationError: one of them can't be used.
        """
        return cls(misfire=misfire, threshold=span("misfire_threshold", threshold), overlap=overlap)

    def check(self, dag: Any, *, ticks: bool) -> None:
        """
        Refuse what a DAG can't keep.

        Raises:
            ConfigurationError: no `CronSchedule`, ticks that can't be counted as runs, or runs that don't queue.
        """
        if self.misfire != "all" or self.overlap != "all":
            require_schedule(dag, f"misfire={self.misfire!r}, overlap={self.overlap!r}")
        if ticks and self.overlap != "all":
            raise ConfigurationError(
                f"overlap={self.overlap!r} goes by runs, and with ticks=True a run isn't one tick: let the consumer "
                "see to it, with @consumer.handler(..., singleton=True) to skip, or key_order=True and one key to queue"
            )
        if self.overlap == "queue" and dag.max_active_runs != 1:
            raise ConfigurationError(
                "overlap='queue' needs DAG(..., max_active_runs=1): that is what lets runs queue"
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a tick, and why."""

    tick: Tick
    outcome: TickOutcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """
    What a decision hangs on beside the run.

    Attributes:
        now: when the task first got to it: a retry decides by the time of the first try, or it would call ticks missed
            that may be out already.
        revocations: those in force for the schedule.
        generation: of the form under which the run publishes.
        overlaps: the run id of an earlier run that is still at work, or "".
        taken_over: from this instant on the schedule's newer form publishes; None if this one is the newest.
    """

    now: datetime
    revocations: Sequence[Revocation] = field(default=())
    generation: int = 0
    overlaps: str = ""
    taken_over: datetime | None = None


def decide(policies: Policies, run: ScheduledRun, around: Circumstances) -> list[Verdict]:
    """What is to become of each tick of a run; FIRED is what is to be published."""
    return [_decide(policies, run, around, tick) for tick in run.ticks]


def _decide(policies: Policies, run: ScheduledRun, around: Circumstances, tick: Tick) -> Verdict:
    if run.occasion is Occasion.BY_HAND:
        return Verdict(tick, TickOutcome.FIRED, str(run.occasion))
    if (one := _covering(tick, around)) is not None:
        is_one = one.until is not None and one.until - one.since < _GRAIN
        why = f"{one.reason} ({one.by})" if one.by else one.reason
        return Verdict(tick, TickOutcome.SKIPPED if is_one else TickOutcome.REVOKED, why)
    if around.taken_over is not None and tick.at >= around.taken_over:
        return Verdict(
            tick, TickOutcome.REVOKED, "the schedule was changed, and its newer form publishes this tick"
        )
    if around.overlaps:
        return Verdict(tick, TickOutcome.OVERLAPPED, f"run {around.overlaps} is still at work")
    return _by_time(policies, run, around.now, tick)


def _by_time(policies: Policies, run: ScheduledRun, now: datetime, tick: Tick) -> Verdict:
    late = now - tick.due
    told = f"{_in_words(late)} late" if late > policies.threshold else ""
    if run.occasion is Occasion.AGAIN:
        return Verdict(tick, TickOutcome.FIRED, str(run.occasion))
    is_missed = policies.misfire == "none" or (policies.misfire == "latest" and run.newer_tick_due(tick, now))
    if told and is_missed:
        return Verdict(tick, TickOutcome.MISFIRED, f"{told}, misfire={policies.misfire!r}")
    return Verdict(tick, TickOutcome.FIRED, told)


def _in_words(late: timedelta) -> str:
    """To the second: `1 day 12 hours 50 minutes 9 seconds`."""
    return pendulum.duration(seconds=round(late.total_seconds())).in_words(locale="en")


def _covering(tick: Tick, around: Circumstances) -> Revocation | None:
    """The first revocation that means the tick, or the instant its messages are delivered at, in this generation."""
    instants = (tick.at.timestamp(), tick.due.timestamp())
    for one in around.revocations:
        if around.generation <= one.generation and any(_holds(one, at) for at in instants):
            return one
    return None


def _holds(one: Revocation, at: float) -> bool:
    return one.since <= at and (one.until is None or at < one.until)
