# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What became of each tick of a schedule, and who changed what by hand: two rooms of the ledger and their records.

A schedule's id is `<deployment>/<dag_id>`: the publishing task writes it into the extension `scheduleid` of every
message of a tick, next to `generation`. Neither skipping one tick nor a pause needs anything of its own here, both are
a `Revocation` of that id: one over [tick, tick + a few microseconds) skips the tick, one without an end pauses the
schedule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tickrelay_messaging.message import Message


class TickOutcome(StrEnum):
    """What the publishing task made of a tick."""

    FIRED = "fired"
    """Its messages are on the queue, confirmed by the broker."""
    MISFIRED = "misfired"
    """Too late when the task got to it; the schedule's misfire policy left it out."""
    OVERLAPPED = "overlapped"
    """Another run was still at it; the schedule's overlap policy left it out."""
    SKIPPED = "skipped"
    """Somebody said to leave out this one tick."""
    REVOKED = "revoked"
    """The schedule was paused, or somebody took back a stretch of it."""


def schedule_id(deployment: str, dag_id: str) -> str:
    """The id by which the ledger knows a DAG's schedule."""
    return f"{deployment}/{dag_id}"


def tick_of(message: Message) -> datetime | None:
    """
    The tick a message stands for, where its extension `tick` (ISO 8601, with offset) says so; else the instant at which
    it is to be delivered, or was published. None if it has none of them.
    """
    if text := message.extensions.get("tick"):
        with suppress(ValueError):
            said = datetime.fromisoformat(text)
            if said.tzinfo is not None:
                return said
    return message.deliver_at or message.time


@dataclass(frozen=True, slots=True, kw_only=True)
class TickDecision:
    """
    What a task decided about one tick.

    Attributes:
        schedule: see `schedule_id`.
        tick: the tick's instant, Unix seconds.
        task_id: the task that decided. A DAG may have several, and each decides by itself.
        reason: for people: how late it was, who skipped it and why.
        at: when it was decided; the ledger's to give.
        number: the ledger's to give, only growing.
    """

    schedule: str
    tick: float
    outcome: TickOutcome
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    reason: str = ""
    at: float = 0.0
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFilter:
    """
    Which decisions: all given conditions hold. No condition means every one.

    Attributes:
        since: ticks from this instant on (Unix seconds).
        until: ticks before this instant.
    """

    schedule: str | None = None
    outcome: TickOutcome | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """
    The form of a schedule (expression, zone, window...) that the ledger has seen last.

    Attributes:
        text: what stands for that form.
        generation: 0 for the first form, one more for each that took another's place.
        since: the first instant that was published under it, Unix seconds.
        run: the instant of the run with which it began, Unix seconds.
        previous: the form before it.
    """

    text: str
    generation: int
    since: float
    run: float
    previous: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What somebody changed by hand: when (Unix seconds), who, what, and the details with the reason."""

    number: int
    at: float
    who: str
    what: str
    detail: str


class Schedules(ABC):
    """What became of each tick, kept as long as other history (`Retention.history`)."""

    @abstractmethod
    def record(self, decisions: Sequence[TickDecision]) -> None:
        """
        Keep what a task decided, once for each (schedule, tick, task).

        A task that is tried again records the same ticks again. The first decision about a tick stands, with one
        exception: FIRED takes the place of any other, and nothing takes its place. So a tick that was left out and
        whose run was cleared later is told as fired, and a late retry never calls a tick missed that went out.

        Raises:
            LedgerUnavailable: nothing was recorded; recording again is safe.
        """

    @abstractmethod
    def list(self, where: TickFilter, *, after: int = 0, limit: int = 50) -> list[TickDecision]:
        """Those that match, the newest decision first; `after` the number of the last one seen continues behind it."""

    @abstractmethod
    def count(self, where: TickFilter) -> dict[TickOutcome, int]:
        """How many match, by outcome; outcomes with none are left out."""

    @abstractmethod
    def remember(
        self, schedule: str, fingerprint: str, *, since: float, run: float | None = None
    ) -> Fingerprint:
        """
        Tell under which form ticks from `since` on are about to be published, and learn their generation.

        Atomic: of many that tell the same new form, one raises the generation, and all get it. A new form begins with a
        run that is later than every one before. One that isn't, since an older run is tried again or the form has
        changed between two tries, changes nothing: else what later runs have published would be taken back, and nobody
        would publish it again. The answer's `text` is another then. What is still out under older forms can be taken
        back by a `Revocation` of ticks from `since` on with `generation - 1`.

        Args:
            since: the first of these ticks, Unix seconds.
            run: by which the schedule's runs follow one another, Unix seconds. None for one that is late on purpose:
                it changes nothing.
        """


class Audit(ABC):
    """Who changed what by hand, when and why. Other rooms write their changes themselves."""

    @abstractmethod
    def enter(self, *, who: str, what: str, detail: str) -> None:
        """Write down a change that was made elsewhere, such as a DAG paused through Airflow."""

    @abstractmethod
    def list(self, *, about: str = "", after: int = 0, limit: int = 50) -> list[AuditEntry]:
        """
        Newest first; `after` the number of the last one seen continues behind it.

        Args:
            about: only entries with this text in their details, such as a schedule's id.
        """
