# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
How commands speak: data on standard output, words about it on standard error.

Nothing that came from a message reaches the terminal as it is: a payload could move the cursor, retitle the
window or fake an answer, so whatever isn't printable is shown as an escape, and JSON is written in ASCII.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tickrelay_messaging.errors import ConfigurationError

_PIPE_WIDTH = 400
"""Tables aren't cut for a reader that isn't a terminal."""
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
STYLES = {
    "done": "green",
    "ok": "green",
    "claimed": "cyan",
    "waiting": "yellow",
    "warn": "yellow",
    "retried": "yellow",
    "dead": "bold red",
    "fail": "bold red",
    "discarded": "red",
    "crashed": "red",
    "expired": "magenta",
    "revoked": "magenta",
    "skipped": "magenta",
}


def out() -> Console:
    """Standard output, as it is now: tests and pipes exchange it."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(file=sys.stdout, width=wide, highlight=False, markup=False, emoji=False)


def note(text: str, style: str = "dim") -> None:
    """A word to the person, on standard error."""
    Console(file=sys.stderr, highlight=False, markup=False, emoji=False).print(
        Text(safe(text), style=style), soft_wrap=True
    )


def warn(text: str) -> None:
    """A word to the person who should look into something."""
    note(f"warning: {text}", style="yellow")


def emit(data: Any) -> None:
    """One JSON document on a line of its own."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")


def safe(text: str, *, lines: bool = False) -> str:
    """Text with every unprintable character as an escape; `lines` keeps line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or (lines and char in "\n\t")
        else char.encode("unicode_escape").decode("ascii", "replace")
        for char in text
    )


def cell(value: object, style: str = "") -> Text:
    """A table's cell: `-` for nothing, numbers grouped, text made safe."""
    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(f"{value:,}", style=style if value else "dim")
    return Text(safe(str(value)), style=style)


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(safe(name), style=STYLES.get(name, ""))


def table(columns: Sequence[str], title: str | None = None) -> Table:
    """A table without lines; a column named `#...` holds numbers, one named `!...` stays in one line."""
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        header_style="bold",
    )
    for name in columns:
        if name.startswith("#"):
            made.add_column(name[1:], justify="right", no_wrap=True)
        else:
            made.add_column(name.lstrip("!"), overflow="fold", no_wrap=name.startswith("!"))
    return made


def rows(made: Table, found: Iterable[Sequence[object]]) -> Table:
    """Fill a table; cells that are `Text` already stay as they are."""
    for row in found:
        made.add_row(*(one if isinstance(one, Text) else cell(one) for one in row))
    return made


def many(count: int, noun: str) -> str:
    """`1 message`, `2,000 messages`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def age(seconds: float | None) -> str | None:
    """`250 ms`, `12 s`, `3 min`, `5 h`, `2 d`: the largest unit that says something."""
    if seconds is None:
        return None
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0) * 1000:.0f} ms"


def instant(at: float | None) -> str | None:
    """Unix seconds as an RFC 3339 instant in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body_view(body: bytes, limit: int | None) -> tuple[str, str, int]:
    """
    A payload for people.

    Returns:
        `text` or `hex`; the payload so written, up to `limit` bytes of it; and how many bytes were left out.
    """
    shown = body if limit is None else body[:limit]
    cut = len(body) - len(shown)
    try:
        body.decode()
    except UnicodeDecodeError:
        return "hex", shown.hex(" "), cut
    return "text", shown.decode(errors="ignore"), cut


def print_headers(headers: Mapping[str, str]) -> None:
    """A header a line."""
    for name, value in sorted(headers.items()):
        out().print(Text.assemble((f"  {safe(name)}: ", "dim"), safe(value)), soft_wrap=True)


def print_body(body: bytes, limit: int | None) -> None:
    """A payload, indented; a note says how much was left out."""
    kind, text, cut = body_view(body, limit)
    indented = "\n".join(f"  {line}" for line in safe(text, lines=True).split("\n"))
    out().print(Text(indented, style="dim" if kind == "hex" else ""), soft_wrap=True)
    remark = ", ".join(
        filter(None, ("not UTF-8, so in hex" if kind == "hex" else "", f"{cut:,} bytes more" if cut else ""))
    )
    if remark:
        out().print(Text(f"  ... {remark}", style="dim"), soft_wrap=True)
    out().print()


def confirm(question: str, *, yes: bool) -> None:
    """
    Ask before something that can't be undone.

    Raises:
        ConfigurationError: nobody is there to ask, or the answer isn't yes.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{safe(question)} There is no terminal to ask at; add --yes if you mean it")
    sys.stderr.write(f"{safe(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigurationError("not confirmed; nothing was changed")
