# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How queues, groups, handlers and messages are shown, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich.text import Text

from tickrelay_consumer.commands import _console as console
from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import GroupStats, Peeked
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.reports import RouteStats

_GROUP_COLUMNS = ("!group", "#ready", "#in flight", "#oldest", "#consumers")
_HANDLER_NUMBERS = (
    "claimed", "waiting", "dead", "done", "retried", "died",
    "discarded", "expired", "revoked", "skipped", "duplicates", "crashes",
)  # fmt: skip


def print_queues(found: Iterable[Mapping[str, Any]]) -> None:
    """A row a group of every queue."""
    made = console.table(("!queue", *_GROUP_COLUMNS, "#waiting", "#dead"))
    cells = ([row["queue"], *_group_cells(row), *_parked_cells(row)] for row in found)
    console.out().print(console.rows(made, cells))


def print_groups(queue: str, lanes: int, groups: list[GroupStats]) -> None:
    """A row a group of one queue."""
    title = f"queue {console.safe(queue)}" + (f", {console.many(lanes, 'lane')}" if lanes else "")
    made = console.table(_GROUP_COLUMNS, title=title)
    console.out().print(console.rows(made, (_group_cells(asdict(stats)) for stats in groups)))


def print_handlers(handlers: list[RouteStats]) -> None:
    """A line a number: a handler has more of them than a terminal has columns."""
    made = console.table(
        ("", *(f"#{one.route.handler} ({one.route.group})" for one in handlers)), title="handlers"
    )
    for name in _HANDLER_NUMBERS:
        made.add_row(console.state(name), *(console.cell(getattr(one, name)) for one in handlers))
    console.out().print(made)


def print_peeked(one: Peeked, cut: int | None) -> None:
    """A message with its place, headers and payload."""
    head = Text.assemble(
        ("message ", "dim"),
        (console.safe(_id_of(one)), "bold"),
        ("  in flight" if one.in_flight else "", "cyan"),
    )
    console.out().print(head, soft_wrap=True)
    place = f"  position {one.position}  published {console.instant(one.published_at)}"
    console.out().print(Text(console.safe(place), style="dim"), soft_wrap=True)
    console.print_headers(one.headers)
    console.print_body(one.body, cut)


def parked(stats: GroupStats, handlers: list[RouteStats] | None) -> dict[str, int | None]:
    """What the ledger holds of a group, over all its handlers."""
    if handlers is None:
        return {"waiting": None, "dead": None}
    ours = [one for one in handlers if (one.route.queue, one.route.group) == (stats.queue, stats.group)]
    return {"waiting": sum(one.waiting for one in ours), "dead": sum(one.dead for one in ours)}


def handler_as_json(stats: RouteStats) -> dict[str, Any]:
    """Its route and its numbers, side by side."""
    numbers = asdict(stats)
    return {**numbers.pop("route"), **numbers}


def peeked_as_json(one: Peeked, cut: int | None) -> dict[str, Any]:
    """As `print_peeked`, for machines."""
    kind, text, missing = console.body_view(one.body, cut)
    return {
        "position": one.position,
        "published_at": console.instant(one.published_at),
        "in_flight": one.in_flight,
        "headers": dict(one.headers),
        "body" if kind == "text" else "body_hex": text,
        "bytes": len(one.body),
        "cut": missing,
    }


def _group_cells(row: Mapping[str, Any]) -> list[object]:
    # Not every broker can tell what is in flight from what is ready.
    in_flight = Text("?", style="dim") if row["in_flight"] is None else row["in_flight"]
    return [row["group"], row["ready"], in_flight, console.age(row["oldest_age"]), row["consumers"]]


def _parked_cells(row: Mapping[str, Any]) -> list[object]:
    dead = row["dead"]
    return [row["waiting"], console.cell(dead, console.STYLES["dead"] if dead else "")]


def _id_of(one: Peeked) -> str:
    try:
        return envelope.decode(one.headers, one.body).id
    except UndecodableMessage as error:
        return f"? ({error})"
