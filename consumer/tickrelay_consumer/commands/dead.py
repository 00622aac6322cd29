# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dead letters: list, show, replay, discard."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import AsJson, DryRun, LedgerUrl, Limit, Yes, new_app, open_ledger
from tickrelay_messaging.errors import ConfigurationError, TickrelayError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import DeadFilter, DeadLetter

app = new_app("Dead letters: messages nobody will try again by itself. List, show, replay, discard.")

_BODY_SHOWN = 20_000

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
MessageId = Annotated[str | None, typer.Option("--id", metavar="ID", help="Only of this message id.")]
Every = Annotated[bool, typer.Option("--all", help="Every one; needed where nothing else is selected.")]


@app.command("list")
def list_dead(
    queue: Queue = None,
    group: Group = None,
    handler: Handler = None,
    error: Error = None,
    message_id: MessageId = None,
    limit: Limit = 50,
    after: Annotated[
        int, typer.Option("--after", metavar="NUMBER", min=0, help="Continue behind this number.")
    ] = 0,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Dead letters, oldest first."""
    where = DeadFilter(queue=queue, group=group, handler=handler, error=error, message_id=message_id)
    with open_ledger(ledger) as opened:
        found = opened.dead_letters.list(where, after=after, limit=limit)
        total = opened.dead_letters.count(where)
    if as_json:
        return console.emit([_as_json(one) for one in found])
    if not found:
        return console.note("no dead letter" + (" matches" if where != DeadFilter() else ""))
    _print_list(found)
    rest = f"; continue with --after {found[-1].number}" if len(found) == limit else ""
    console.note(f"{len(found):,} of {total:,} dead letters{rest}")


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
        return console.emit(_as_json(letter) | _payload_as_json(letter))
    _print_letter(letter)


@app.command("replay")
def replay_dead(
    numbers: Numbers = None,
    queue: Queue = None,
    group: Group = None,
    handler: Handler = None,
    error: Error = None,
    message_id: MessageId = None,
    every: Every = False,
    dry_run: DryRun = False,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Let the handler that failed try again.

    Its attempts are counted anew; the broker isn't asked.
    """
    where = _selection(numbers, queue, group, handler, error, message_id, every=every)
    with open_ledger(ledger) as opened:
        count = _matching(opened, where)
        if not dry_run:
            count = opened.dead_letters.replay(where, by=_user())
    _report("replayed", count, dry_run=dry_run, as_json=as_json)


@app.command("discard")
def discard_dead(
    numbers: Numbers = None,
    queue: Queue = None,
    group: Group = None,
    handler: Handler = None,
    error: Error = None,
    message_id: MessageId = None,
    every: Every = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit trail. Required.")
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Give up on them for good. They stay known, so that a duplicate doesn't bring them back."""
    where = _selection(numbers, queue, group, handler, error, message_id, every=every)
    if not reason.strip() and not dry_run:
        raise ConfigurationError("--reason is needed: the audit trail keeps why a message was given up")
    with open_ledger(ledger) as opened:
        count = _matching(opened, where)
        if count and not dry_run:
            console.confirm(f"Discard {_letters(count)} for good?", yes=yes)
            count = opened.dead_letters.discard(where, by=_user(), reason=reason.strip())
    _report("discarded", count, dry_run=dry_run, as_json=as_json)


def _selection(
    numbers: Sequence[int] | None,
    queue: str | None,
    group: str | None,
    handler: str | None,
    error: str | None,
    message_id: str | None,
    *,
    every: bool,
) -> DeadFilter:
    where = DeadFilter(
        numbers=tuple(numbers or ()),
        queue=queue,
        group=group,
        handler=handler,
        error=error,
        message_id=message_id,
    )
    if where == DeadFilter() and not every:
        raise ConfigurationError(
            "nothing is selected: give numbers, --queue, --handler, --error or --id; --all means every one"
        )
    if where != DeadFilter() and every:
        raise ConfigurationError(
            "--all stands alone: leave it out, or leave the numbers and other options out"
        )
    return where


def _matching(ledger: Ledger, where: DeadFilter) -> int:
    """How many match. A number typed that isn't there is an error, a condition nothing meets isn't."""
    missing = [number for number in where.numbers if ledger.dead_letters.show(number) is None]
    if missing:
        raise TickrelayError(f"no dead letter {', '.join(map(str, missing))}; nothing was changed")
    return ledger.dead_letters.count(where)


def _report(done: str, count: int, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        return console.emit({done: 0 if dry_run else count, "matching": count, "dry_run": dry_run})
    console.note(f"{_letters(count)} would be {done}" if dry_run else f"{done} {_letters(count)}")


def _letters(count: int) -> str:
    return console.many(count, "dead letter")


def _user() -> str:
    """Who did it, for the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run under a number without a name
        return f"cli:uid {os.getuid()}"


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    plain = asdict(letter)
    for name in ("stack", "headers", "body"):
        del plain[name]
    return {**plain.pop("route"), **plain, "died_at": console.instant(letter.died_at)}


def _payload_as_json(letter: DeadLetter) -> dict[str, Any]:
    kind, text, _ = console.body_view(letter.body, None)
    name = "body" if kind == "text" else "body_hex"
    return {"stack": letter.stack, "headers": dict(letter.headers), name: text}


def _print_list(found: list[DeadLetter]) -> None:
    made = console.table(("#number", "!died", "queue", "handler", "id", "#attempts", "error"))
    cells = (
        (
            Text(str(one.number), style="bold"),
            (console.instant(one.died_at) or "")[:19],
            one.route.queue,
            one.route.handler,
            one.message_id,
            one.attempts,
            console.cell(_first(one.error), "red"),
        )
        for one in found
    )
    console.out().print(console.rows(made, cells))


_LONGEST_ERROR = 120
"""Characters of an error that a row of a table has room for."""


def _first(error: str) -> str:
    line = error.strip().partition("\n")[0]
    return line if len(line) <= _LONGEST_ERROR else f"{line[: _LONGEST_ERROR - 1]}…"


def _print_letter(letter: DeadLetter) -> None:
    made = console.table(("", ""))
    made.show_header = False
    facts = {
        "dead letter": letter.number,
        "message": letter.message_id,
        "source": letter.source,
        "queue": f"{letter.route.queue}, group {letter.route.group}, handler {letter.route.handler}",
        "died": console.instant(letter.died_at),
        "reason": letter.reason,
        "attempts": f"{letter.attempts}, crashes {letter.crashes}",
        "error": console.cell(letter.error, "red"),
    }
    console.out().print(
        console.rows(made, ((Text(name, style="dim"), value) for name, value in facts.items()))
    )
    console.print_headers(letter.headers)
    console.print_body(letter.body, _BODY_SHOWN)
    if letter.stack:
        console.out().print(
            Text(console.safe(letter.stack.rstrip(), lines=True), style="dim"), soft_wrap=True
        )
