# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about schedules: what became of each tick, forms of a schedule, and the audit trail."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import Retention
from tickrelay_messaging.ledger.schedules import (
    Fingerprint,
    TickDecision,
    TickFilter,
    TickOutcome,
    schedule_id,
)
from tickrelay_messaging.testing.ledger_case import START, Clock, LedgerCase
from tickrelay_messaging.testing.ledger_revoking import taking_back

FIRED, MISFIRED, SKIPPED = TickOutcome.FIRED, TickOutcome.MISFIRED, TickOutcome.SKIPPED
NIGHTLY = schedule_id("home", "nightly")
EVERYTHING = TickFilter()


def decided(
    seconds: float = 0, outcome: TickOutcome = FIRED, *, schedule: str = NIGHTLY, task_id: str = "publish"
) -> TickDecision:
    """A task's decision about the tick at so many seconds."""
    return TickDecision(
        schedule=schedule,
        tick=START + seconds,
        outcome=outcome,
        dag_id="nightly",
        run_id="scheduled__1",
        task_id=task_id,
        reason=f"because {outcome}",
    )


class SchedulesContract(LedgerCase):
    """`schedules` and `audit`."""

    def ticks(self, ledger: Ledger, where: TickFilter = EVERYTHING) -> list[tuple[float, TickOutcome]]:
        """What is told of them, by seconds, newest decision first."""
        return [(one.tick - START, one.outcome) for one in ledger.schedules.list(where, limit=1_000)]

    def test_a_decision_is_told_as_it_was_made(self, ledger: Ledger, clock: Clock) -> None:
        """With its instant to the microsecond; when, and a number, are the ledger's."""
        made = decided(0.25, SKIPPED)
        clock.advance(5)
        ledger.schedules.record([made])
        (told,) = ledger.schedules.list(EVERYTHING)
        assert replace(made, at=START + 5, number=told.number) == told
        assert told.number > 0
        ledger.schedules.record([])
        assert [told] == ledger.schedules.list(EVERYTHING)

    def test_one_tick_of_a_task_is_told_once(self, ledger: Ledger, clock: Clock) -> None:
        """However often the task runs; other tasks, schedules and ticks are others."""
        ledger.schedules.record([decided(), decided(1)])
        clock.advance(5)
        ledger.schedules.record([decided(), decided(), decided(1), decided(2)])
        ledger.schedules.record([decided(task_id="other"), decided(schedule="x" * 600)])
        assert [(0, FIRED), (0, FIRED), (2, FIRED), (1, FIRED), (0, FIRED)] == self.ticks(ledger)
        assert [START] * 2 == [one.at for one in ledger.schedules.list(EVERYTHING)[-2:]]

    def test_fired_wins_and_else_the_first(self, ledger: Ledger, clock: Clock) -> None:
        """A late retry calls nothing missed that went out; what was left out and goes out later is told so."""
        ledger.schedules.record([decided(0), decided(1, SKIPPED), decided(2, MISFIRED)])
        clock.advance(5)
        again = replace(decided(1), run_id="scheduled__2")
        ledger.schedules.record([decided(0, MISFIRED), again, decided(2, SKIPPED)])
        ledger.schedules.record([decided(1, MISFIRED)])
        assert [(2, MISFIRED), (1, FIRED), (0, FIRED)] == self.ticks(ledger)
        told = ledger.schedules.list(EVERYTHING)[1]
        assert replace(again, at=START + 5, number=told.number) == told

    def test_choosing(self, ledger: Ledger) -> None:
        """By schedule, outcome and stretch of time, its end not included; and how many of each."""
        ledger.schedules.record([decided(0), decided(10, MISFIRED), decided(20), decided(5, schedule="b")])
        by = TickFilter(schedule=NIGHTLY)
        assert [(20, FIRED), (10, MISFIRED), (0, FIRED)] == self.ticks(ledger, by)
        assert [(10, MISFIRED)] == self.ticks(ledger, replace(by, outcome=MISFIRED))
        assert [(10, MISFIRED)] == self.ticks(ledger, replace(by, since=START + 10, until=START + 20))
        assert [] == self.ticks(ledger, replace(by, since=START + 21))
        assert {FIRED: 2, MISFIRED: 1} == ledger.schedules.count(by)
        assert {FIRED: 3, MISFIRED: 1} == ledger.schedules.count(EVERYTHING)
        assert {} == ledger.schedules.count(TickFilter(schedule="c"))

    def test_page_by_page(self, ledger: Ledger) -> None:
        """Each once, to the end, whatever comes meanwhile; with a condition too."""
        ledger.schedules.record([decided(n, FIRED if n % 2 else MISFIRED) for n in range(450)])
        seen: list[TickDecision] = []
        where = TickFilter(schedule=NIGHTLY, outcome=FIRED)
        while page := ledger.schedules.list(where, after=seen[-1].number if seen else 0, limit=100):
            assert len(page) <= 100
            seen += page
            ledger.schedules.record([decided(1_000 + len(seen))])
        assert [449.0 - 2 * n for n in range(225)] == [one.tick - START for one in seen]

    def test_old_decisions_are_forgotten(self, ledger: Ledger, clock: Clock) -> None:
        """With the rest of history, however many; young ones stay, and a forgotten tick can be told anew."""
        ledger.schedules.record([decided(n) for n in range(1_200)])
        clock.advance(3_000)
        ledger.schedules.record([decided(5_000)])
        clock.advance(601)
        ledger.sweep({}, Retention(dedup=3_600, history=3_600))
        assert [(5_000, FIRED)] == self.ticks(ledger)
        ledger.schedules.record([decided(3)])
        assert [(3, FIRED), (5_000, FIRED)] == self.ticks(ledger, TickFilter(schedule=NIGHTLY))

    def test_forms_of_a_schedule(self, ledger: Ledger) -> None:
        """The first is generation 0, each change one more, back again too; schedules don't share it."""
        told = [
            ledger.schedules.remember(NIGHTLY, text, since=START + at, run=START + at)
            for at, text in enumerate(["a", "a", "b", "b", "a"])
        ]
        assert [0, 0, 1, 1, 2] == [form.generation for form in told]
        assert ["a", "a", "b", "b", "a"] == [form.text for form in told]
        assert [None, None, "a", "a", "b"] == [form.previous for form in told]
        assert [0, 0, 2, 2, 4] == [form.since - START for form in told]
        assert [0, 0, 2, 2, 4] == [form.run - START for form in told]
        assert 0 == ledger.schedules.remember("x" * 600, "b", since=START, run=START).generation

    def test_an_older_run_changes_no_form(self, ledger: Ledger) -> None:
        """It's told what is in force, be its own form older than that or newer; the run after all others changes it."""

        def remember(text: str, run: float) -> Fingerprint:
            return ledger.schedules.remember(NIGHTLY, text, since=START + run + 5, run=START + run)

        remember("a", 0)
        assert remember("a", 60) == remember("b", 30) == remember("b", 60)
        newer = remember("b", 90)
        assert (1, "a", START + 95, START + 90) == (newer.generation, newer.previous, newer.since, newer.run)
        assert newer == remember("a", 60) == remember("c", 90)

    def test_a_form_may_begin_before_what_is_out(self, ledger: Ledger) -> None:
        """What counts is the order of the runs: with a shorter lead the next one's ticks begin earlier."""
        ledger.schedules.remember(NIGHTLY, "a", since=START + 3_600, run=START)
        shorter = ledger.schedules.remember(NIGHTLY, "b", since=START + 120, run=START + 60)
        assert (1, START + 120) == (shorter.generation, shorter.since)

    def test_what_is_late_on_purpose_changes_no_form(self, ledger: Ledger) -> None:
        """A backfill or a cleared run, be it the first that is heard of the schedule."""
        for text in ("a", "b"):
            assert "a" == ledger.schedules.remember(NIGHTLY, text, since=START).text
        assert 1 == ledger.schedules.remember(NIGHTLY, "b", since=START, run=START).generation
        assert "b" == ledger.schedules.remember(NIGHTLY, "a", since=START + 60).text

    def test_many_change_a_form_once(self, ledger: Ledger) -> None:
        """Two schedulers' tasks that come with the same new form at once."""
        ledger.schedules.remember(NIGHTLY, "a", since=START, run=START)
        together = threading.Barrier(4)

        def change(_: int) -> int:
            together.wait(self.patience)
            return ledger.schedules.remember(NIGHTLY, "b", since=START + 60, run=START + 60).generation

        with ThreadPoolExecutor(4) as pool:
            assert [1] * 4 == list(pool.map(change, range(4)))

    def test_many_record_at_once(self, ledger: Ledger) -> None:
        """A task and its double tell the same ticks, once each."""
        together = threading.Barrier(4)

        def record(_: int) -> None:
            together.wait(self.patience)
            ledger.schedules.record([decided(n) for n in range(300)])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(record, range(4)))
        assert {FIRED: 300} == ledger.schedules.count(EVERYTHING)

    def test_who_changed_what(self, ledger: Ledger, clock: Clock) -> None:
        """Newest first, of one schedule or all, page by page; rooms enter their own changes."""
        number = ledger.revocations.revoke(taking_back(schedule=NIGHTLY))
        clock.advance(5)
        ledger.audit.enter(who="bob", what="paused", detail=f"{NIGHTLY}: 100%_sure")
        ledger.audit.enter(who="bob", what="paused", detail="home/weekly: tired")
        ledger.revocations.lift(number, by="cy")
        lifted, weekly, paused, revoked = ledger.audit.list()
        assert ("cy", "revocation lifted", "bob", "paused", "ann", "revoked") == (
            *(lifted.who, lifted.what, paused.who, paused.what, revoked.who, revoked.what),
        )
        assert (START, START + 5, f"{NIGHTLY}: 100%_sure") == (revoked.at, paused.at, paused.detail)
        assert "holiday" in revoked.detail
        assert [lifted, paused, revoked] == ledger.audit.list(about=NIGHTLY)
        assert [paused] == ledger.audit.list(about="100%_s")
        assert [weekly, paused] == ledger.audit.list(after=lifted.number, limit=2)
        assert [revoked] == ledger.audit.list(after=paused.number)
