# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dead letters: list, group, show, replay, discard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands import _dead_views as views
from tickrelay_consumer.commands._dead_replaying import Progress, in_pages, numbers
from tickrelay_consumer.commands._options import AsJson, DryRun, LedgerUrl, Limit, Yes, new_app, open_ledger
from tickrelay_consumer.commands._who import who
from tickrelay_consumer.rate import Rate
from tickrelay_messaging.errors import ConfigurationError, TickrelayError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import DeadFilter

app = new_app("Dead letters: messages nobody will try again by itself. List, group, show, replay, discard.")

Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER", help="Dead letters by number.", show_default=False),
]
Queue = Annotated[str | None, typer.Option("--queue", metavar="QUEUE", help="Only of this queue.")]
Group = Annotated[str | None, typer.Option("--group", metavar="GROUP", help="Only of this group.")]
Handler = Annotated[str | None, typer.Option("--handler", metavar="HANDLER", help="Only of this handler.")]
Error = Annotated[
    str | None, typer.Option("--error", metavar="TEXT", help="Only with this in the error's class or text.")
]
Kind = Annotated[
    str | None, typer.Option("--kind", metavar="CLASS", help="Only of this error class, all of its name.")
]
MessageId = Annotated[str | None, typer.Option("--id", metavar="ID", help="Only of this message id.")]
Every = Annotated[bool, typer.Option("--all", help="Every one; needed where nothing else is selected.")]


@app.command("list")
def list_dead(
    queue: Queue = None,
    group: Group = None,
    handler: Handler = None,
    error: Error = None,
    kind: Kind = None,
    message_id: MessageId = None,
    limit: Limit = 50,
    after: Annotated[
        int, typer.Option("--after", metavar="NUMBER", min=0, help="Continue behind this number.")
    ] = 0,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Dead letters, oldest first."""
    where = _filter(None, queue, group, handler, error, kind, message_id)
    with open_ledger(ledger) as opened:
        found = opened.dead_letters.list(where, after=after, limit=limit)
        total = opened.dead_letters.count(where)
    if as_json:
        return console.emit([views.letter_as_json(one) for one in found])
    if not found:
        return _none(where)
    views.print_list(found)
    rest = f"; continue with --after {found[-1].number}" if len(found) == limit else ""
    console.note(f"{len(found):,} of {total:,} dead letters{rest}")


@app.command("groups")
def group_dead(
    queue: Queue = None,
    group: Group = None,
    handler: Handler = None,
    error: Error = None,
    kind: Kind = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Dead letters that died of the same: handler, reason and error class; the most first."""
    where = _filter(None, queue, group, handler, error, kind, None)
    with open_ledger(ledger) as opened:
        found = opened.dead_letters.groups(where)
    if as_json:
        return console.emit([views.group_as_json(one) for one in found])
    if not found:
        return _none(where)
    views.print_groups(found)
    console.note("replay a group with: tickrelay dead replay --handler HANDLER --kind CLASS")


@app.command("show")
def show_dead(
    number: Annotated[
        int, typer.Argument(metavar="NUMBER", help="The dead letter's number.", show_default=False)
    ],
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """One dead letter with its payload, reason and stack."""
    with open_ledger(ledger) as opened:
        letter = opened.dead_letters.show(number)
    if letter is None:
        raise TickrelayError(f"no dead letter {number}; tickrelay dead list shows those there are")
    if as_json:
        return console.emit(views.letter_as_json(letter) | views.payload_as_json(letter))
    views.print_letter(letter)


@app.command("replay")
def replay_dead(
    numbers: Numbers = None,
    queue: Queue = None,
    group: Group = None,
    handler: Handler = None,
    error: Error = None,
    kind: Kind = None,
    message_id: MessageId = None,
    every: Every = False,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="N/s", help="No faster than that, such as 50/s or 100/m.")
    ] = None,
    dry_run: DryRun = False,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> int:
    """Let the handler that failed try again.

    Its attempts are counted anew; the broker isn't asked. Ctrl-C stops between two pages: what wasn't replayed stays a
    dead letter.
    """
    where = _selection(_filter(numbers, queue, group, handler, error, kind, message_id), every=every)
    pace = Rate.of(rate) if rate else None
    with open_ledger(ledger) as opened:
        meant = _meant(opened, where)
        by = who()
        progress = (
            Progress(len(meant))
            if dry_run
            else in_pages(meant, lambda page: opened.dead_letters.replay(page, by=by), pace)
        )
    return _report("replayed", progress, dry_run=dry_run, as_json=as_json)


@app.command("discard")
def discard_dead(
    numbers: Numbers = None,
    queue: Queue = None,
    group: Group = None,
    handler: Handler = None,
    error: Error = None,
    kind: Kind = None,
    message_id: MessageId = None,
    every: Every = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit trail. Required.")
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> int:
    """Give up on them for good. They stay known, so that a duplicate doesn't bring them back."""
    where = _selection(_filter(numbers, queue, group, handler, error, kind, message_id), every=every)
    why = reason.strip()
    if not why and not dry_run:
        raise ConfigurationError("--reason is needed: the audit trail keeps why a message was given up")
    with open_ledger(ledger) as opened:
        meant = _meant(opened, where)
        progress = Progress(len(meant))
        if meant and not dry_run:
            console.confirm(f"Discard {_letters(len(meant))} for good?", yes=yes)
            by = who()
            progress = in_pages(meant, lambda page: opened.dead_letters.discard(page, by=by, reason=why))
    return _report("discarded", progress, dry_run=dry_run, as_json=as_json)


def _filter(numbers: Sequence[int] | None, *conditions: str | None) -> DeadFilter:
    """Conditions in the order of the options: queue, group, handler, error, kind, id."""
    names = ("queue", "group", "handler", "error", "kind", "message_id")
    return DeadFilter(numbers=tuple(numbers or ()), **dict(zip(names, conditions, strict=True)))


def _selection(where: DeadFilter, *, every: bool) -> DeadFilter:
    if where == DeadFilter() and not every:
        raise ConfigurationError(
            "nothing is selected: give numbers, --queue, --handler, --error, --kind or --id; --all means every one"
        )
    if where != DeadFilter() and every:
        raise ConfigurationError(
            "--all stands alone: leave it out, or leave the numbers and other options out"
        )
    return where


def _meant(ledger: Ledger, where: DeadFilter) -> list[int]:
    """Which match. A number typed that isn't there is an error, a condition nothing meets isn't."""
    missing = [number for number in where.numbers if ledger.dead_letters.show(number) is None]
    if missing:
        raise TickrelayError(f"no dead letter {', '.join(map(str, missing))}; nothing was changed")
    return numbers(ledger.dead_letters, where)


def _report(done: str, progress: Progress, *, dry_run: bool, as_json: bool) -> int:
    code = 130 if progress.stopped else 0
    if as_json:
        counts = {done: progress.changed, "matching": progress.meant}
        console.emit({**counts, "dry_run": dry_run, "stopped": progress.stopped})
    elif dry_run:
        console.note(f"{_letters(progress.meant)} would be {done}")
    elif progress.stopped:
        console.note(
            f"stopped: {done} {progress.changed:,} of {_letters(progress.meant)}; the rest is untouched"
        )
    else:
        console.note(f"{done} {_letters(progress.changed)}")
    return code


def _none(where: DeadFilter) -> None:
    console.note("no dead letter" + (" matches" if where != DeadFilter() else ""))


def _letters(count: int) -> str:
    return console.many(count, "dead letter")
