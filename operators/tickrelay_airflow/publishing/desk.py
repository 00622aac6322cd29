# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Where a run's ticks are decided about, with what the ledger knows of its schedule, and where the decisions are kept.

Without a ledger the policies hold all the same, but nothing can be taken back, and nobody is told afterwards.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from airflow.sdk.observability import stats

from tickrelay_airflow.publishing.policies import Circumstances, Policies, Verdict, decide
from tickrelay_airflow.publishing.runs import Occasion, ScheduledRun
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Revocation
from tickrelay_messaging.ledger.schedules import Fingerprint, TickDecision, TickOutcome

PUBLISHER = "tickrelay publish"
"""Who takes back ticks of a schedule's older form."""

log = logging.getLogger(__name__)


class Desk:
    """
    Decides about one run's ticks.

    Args:
        overlapping: answers the run id of an earlier run that is still at work, or ""; asked only if it matters.
    """

    def __init__(
        self, run: ScheduledRun, ledger: Ledger | None, policies: Policies, overlapping: Callable[[], str]
    ) -> None:
        self._run = run
        self._ledger = ledger
        self._policies = policies
        self._overlapping = overlapping
        self._form = self._remember()

    @property
    def extensions(self) -> dict[str, str]:
        """What every message of these ticks says of its schedule; a tick by hand is none of the schedule's."""
        if self._run.occasion is Occasion.BY_HAND:
            return {}
        generation = {"generation": str(self._generation)} if self._generation else {}
        return {"scheduleid": self._run.schedule_id, **generation}

    def decide(self) -> list[Verdict]:
        """What is to become of each tick; those that are left out are recorded and told at once."""
        verdicts = decide(self._policies, self._run, self._circumstances())
        left_out = [one for one in verdicts if one.outcome is not TickOutcome.FIRED]
        self._record(left_out)
        _tell(self._run, left_out)
        return verdicts

    def fired(self, verdicts: Sequence[Verdict]) -> None:
        """The broker has confirmed the messages of these ticks."""
        self._record([one for one in verdicts if one.outcome is TickOutcome.FIRED])

    @property
    def _generation(self) -> int:
        return self._form.generation if self._form else 0

    def _remember(self) -> Fingerprint | None:
        """The form in force; if it's this run's, whatever is still out under older ones is taken back."""
        if self._ledger is None or self._run.occasion is Occasion.BY_HAND:
            return None
        run = self._run
        # A run that is late on purpose publishes in the form that there is; it changes nothing for the runs of today.
        at = run.at.timestamp() if run.occasion is Occasion.SCHEDULED else None
        form = self._ledger.schedules.remember(
            run.schedule_id, run.schedule.fingerprint, since=run.since.timestamp(), run=at
        )
        if form.generation and self._is_newest(form):
            self._take_back(self._ledger, form)
        return form

    def _is_newest(self, form: Fingerprint) -> bool:
        return form.text == self._run.schedule.fingerprint

    def _take_back(self, ledger: Ledger, form: Fingerprint) -> None:
        """Asked at every run, as the task that changed the form may have died before it came to this."""
        known = [one for one in ledger.revocations.list(self._run.schedule_id) if one.by == PUBLISHER]
        if any(one.generation >= form.generation - 1 for one in known):
            return
        reason = f"schedule changed from {form.previous} to {form.text}"
        ledger.revocations.revoke(
            Revocation(
                schedule=self._run.schedule_id,
                since=form.since,
                generation=form.generation - 1,
                by=PUBLISHER,
                reason=reason,
                by_tick=True,
            )
        )
        log.info(
            "The schedule was changed: ticks of its older form from %s on are taken back", self._run.since
        )

    def _circumstances(self) -> Circumstances:
        revocations = self._ledger.revocations.list(self._run.schedule_id) if self._ledger else []
        is_asked = self._policies.overlap == "skip" and self._run.occasion is Occasion.SCHEDULED
        return Circumstances(
            now=self._first_tried() or datetime.now(UTC),
            revocations=revocations,
            generation=self._generation,
            overlaps=self._overlapping() if is_asked else "",
            taken_over=self._taken_over(),
        )

    def _taken_over(self) -> datetime | None:
        """From when on a newer form publishes; this run may have the newer one itself, and come too late for it."""
        form, run = self._form, self._run
        if form is None or self._is_newest(form) or run.occasion is not Occasion.SCHEDULED:
            return None
        return datetime.fromtimestamp(form.since, UTC) if run.at.timestamp() < form.run else None

    def _first_tried(self) -> datetime | None:
        """When the first try of this task instance began to publish; None if this is the first, or nobody cares."""
        run = self._run
        if self._ledger is None or self._policies.misfire == "all":
            return None
        tries = self._ledger.batches.find(
            dag_id=run.dag_id, run_id=run.run_id, task_id=run.task_id, map_index=run.map_index
        )
        return min((datetime.fromtimestamp(one.opened_at, UTC) for one in tries), default=None)

    def _record(self, verdicts: Sequence[Verdict]) -> None:
        if self._ledger is None or not verdicts:
            return
        run = self._run
        self._ledger.schedules.record(
            [
                TickDecision(
                    schedule=run.schedule_id,
                    tick=one.tick.at.timestamp(),
                    outcome=one.outcome,
                    dag_id=run.dag_id,
                    run_id=run.run_id,
                    task_id=run.task_id,
                    reason=one.reason,
                )
                for one in verdicts
            ]
        )


def _tell(run: ScheduledRun, left_out: Sequence[Verdict]) -> None:
    """A line and a counter for each kind of outcome; both are what an alert can go by."""
    for outcome, number in Counter(one.outcome for one in left_out).items():
        first = next(one for one in left_out if one.outcome is outcome)
        level = logging.WARNING if outcome is TickOutcome.MISFIRED else logging.INFO
        log.log(
            level, "%s: %d of %d ticks of schedule %s aren't published, the first %s: %s",
            str(outcome).capitalize(), number, len(run.ticks), run.schedule_id, first.tick.at.isoformat(), first.reason,
        )  # fmt: skip
        stats.incr(f"tickrelay.ticks_{outcome}", number, tags={"dag_id": run.dag_id, "task_id": run.task_id})
