# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dead letters as people and machines read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from tickrelay_consumer.commands import _console as console
from tickrelay_messaging.ledger.records import DeadGroup, DeadLetter

_BODY_SHOWN = 20_000
_LONGEST_ERROR = 120
"""Characters of an error that a row of a table has room for."""


def letter_as_json(letter: DeadLetter) -> dict[str, Any]:
    """What a list says of one."""
    plain = asdict(letter)
    for name in ("stack", "headers", "body"):
        del plain[name]
    return {**plain.pop("route"), **plain, "died_at": console.instant(letter.died_at)}


def payload_as_json(letter: DeadLetter) -> dict[str, Any]:
    """What only `show` says."""
    kind, text, _ = console.body_view(letter.body, None)
    name = "body" if kind == "text" else "body_hex"
    return {"stack": letter.stack, "headers": dict(letter.headers), name: text}


def group_as_json(group: DeadGroup) -> dict[str, Any]:
    """One group."""
    plain = asdict(group)
    instants = {name: console.instant(plain[name]) for name in ("oldest", "newest")}
    return {**plain.pop("route"), **plain, **instants}


def print_list(found: Sequence[DeadLetter]) -> None:
    """A row a letter."""
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


def print_groups(found: Sequence[DeadGroup]) -> None:
    """A row a group."""
    made = console.table(("#count", "queue", "handler", "reason", "error", "!oldest", "!newest", "example"))
    cells = (
        (
            one.count,
            one.route.queue,
            one.route.handler,
            one.reason,
            console.cell(one.kind, "red"),
            (console.instant(one.oldest) or "")[:19],
            (console.instant(one.newest) or "")[:19],
            console.cell(_first(one.example)),
        )
        for one in found
    )
    console.out().print(console.rows(made, cells))


def print_letter(letter: DeadLetter) -> None:
    """Everything kept of one."""
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


def _first(error: str) -> str:
    line = error.strip().partition("\n")[0]
    return line if len(line) <= _LONGEST_ERROR else f"{line[: _LONGEST_ERROR - 1]}…"
