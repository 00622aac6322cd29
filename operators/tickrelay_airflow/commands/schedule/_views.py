# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How schedules, ticks, decisions and changes are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from tickrelay_airflow.control.records import (
    Change,
    ComingTick,
    Decision,
    InForce,
    ScheduleView,
)
from tickrelay_consumer.commands import _console as console

_OUTCOMES = {
    "fired": "green",
    "misfired": "bold red",
    "overlapped": "yellow",
    "skipped": "magenta",
    "revoked": "magenta",
}
_WIDE = ("!schedule", "!expression", "when", "!next tick", "state", "last decision", "#misfires 24 h")
_NARROW = ("!schedule", "when", "!next tick", "state", "last")
_DECISIONS = ("!tick", "!outcome", "task", "reason", "!decided")
_WIDE_ENOUGH, _WORD = 120, 8
"""Characters: of a terminal, and of what should stay in one line."""


def print_schedules(found: Sequence[ScheduleView]) -> None:
    """A row a schedule; on a narrow terminal with what matters most."""
    screen = console.out()
    columns, row = (_WIDE, _wide_row) if screen.width >= _WIDE_ENOUGH else (_NARROW, _narrow_row)
    made = console.table(columns)
    made.columns[-1].min_width = _WORD
    screen.print(console.rows(made, (row(one) for one in found)))


def print_schedule(one: ScheduleView) -> None:
    """One schedule with everything that is going on."""
    screen = console.out()
    screen.print(Text(console.safe(one.dag_id), style="bold"), soft_wrap=True)
    facts = console.table(("", ""))
    facts.show_header = False
    missed = "not known" if one.misfires is None else one.misfires
    console.rows(
        facts,
        [
            ("when", one.words),
            ("expression", one.expression),
            ("zone", one.timezone),
            ("state", _state(one)),
            ("last decision", decided(one.last)),
            ("misfires, last day", Text(str(missed), style="bold red" if one.misfires else "")),
            ("schedule id", one.schedule),
            ("file", one.file),
        ],
    )
    screen.print(facts)
    _print_ticks(one.next)
    if one.runs:
        made = console.table(("!run", "kind", "state", "!after"), title="runs")
        rows = ((run.run_id, run.kind, console.state(run.state), moment(run.after)) for run in one.runs)
        screen.print(console.rows(made, rows))
    if one.revocations:
        _print_revocations(one.revocations)


def print_decisions(found: Sequence[Decision]) -> None:
    """What became of each tick; on a narrow terminal without when that was decided."""
    screen = console.out()
    shown = len(_DECISIONS) if screen.width >= _WIDE_ENOUGH else -1
    rows = (
        (moment(one.tick), _outcome(one.outcome), one.task_id, one.reason, moment(one.at)) for one in found
    )
    made = console.table(_DECISIONS[:shown], title="ticks")
    screen.print(console.rows(made, (row[:shown] for row in rows)))


def print_changes(found: Sequence[Change]) -> None:
    """What people did."""
    made = console.table(("!when", "who", "what", "details"), title="changes")
    rows = ((moment(one.at), one.who, one.what, one.detail) for one in found)
    console.out().print(console.rows(made, rows))


def moment(at: datetime | None) -> str | None:
    """As everywhere in these commands."""
    return None if at is None else console.instant(at.timestamp())


def decided(one: Decision | None) -> Text:
    """An outcome and its tick."""
    if one is None:
        return console.cell(None)
    return Text.assemble(
        _outcome(one.outcome), f" {moment(one.tick)}", f"  {console.safe(one.reason)}".rstrip()
    )


def _wide_row(one: ScheduleView) -> list[object]:
    misses = Text("?", style="dim") if one.misfires is None else console.cell(one.misfires, "bold red")
    return [one.dag_id, one.expression, one.words, _next(one.next), _state(one), decided(one.last), misses]


def _narrow_row(one: ScheduleView) -> list[object]:
    last = console.cell(None) if one.last is None else _outcome(one.last.outcome)
    if one.misfires:
        last = Text.assemble(last, (f", {console.many(one.misfires, 'misfire')}", "bold red"))
    return [one.dag_id, one.words, _briefly(_next(one.next)), _state(one), last]


def _briefly(local: str | None) -> str | None:
    """In the schedule's zone, without saying so."""
    return local and local[: len("2026-11-29 07:30:00")]


def _next(ticks: Sequence[ComingTick]) -> str | None:
    """The first tick of which something will come."""
    carried_out = [tick for tick in ticks if tick.revoked is None]
    return carried_out[0].local if carried_out else None


def _state(one: ScheduleView) -> Text:
    kinds = [held.kind for held in one.revocations]
    words = []
    if one.paused or "pause" in kinds:
        both = one.paused and "pause" in kinds
        words.append("paused" if both else "paused in Airflow only" if one.paused else "revoked, not paused")
    if skips := kinds.count("skip"):
        words.append(f"skips {console.many(skips, 'tick')}")
    if one.broken:
        words.append("import error")
    return Text(", ".join(words) or "on", style="yellow" if words else "green")


def _outcome(name: str) -> Text:
    return Text(console.safe(name), style=_OUTCOMES.get(name, ""))


def _print_ticks(ticks: Sequence[ComingTick]) -> None:
    made = console.table(("!next ticks", "!in its zone", ""))
    rows = (
        (moment(tick.at), tick.local, f"left out by revocation {tick.revoked}" if tick.revoked else " ")
        for tick in ticks
    )
    console.out().print(console.rows(made, rows))


def _print_revocations(found: Sequence[InForce]) -> None:
    made = console.table(("#number", "kind", "!from", "!until", "by", "reason"), title="revocations in force")
    rows = (
        (one.number, one.kind, moment(one.since), moment(one.until) or "without end", one.by, one.reason)
        for one in found
    )
    console.out().print(console.rows(made, rows))
