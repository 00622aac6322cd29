# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Queues: list, show, look inside, declare, purge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import (
    AsJson,
    BrokerUrl,
    LedgerUrl,
    Limit,
    QueueName,
    Yes,
    new_app,
    open_broker,
    open_ledger_if_there,
)
from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, GroupStats, Peeked, QueueSpec
from tickrelay_messaging.errors import ConfigurationError, UndecodableMessage
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.records import RouteStats

app = new_app("Queues: list, show, look inside, declare, purge.")

_BODY_SHOWN = 2_000
_GROUP_COLUMNS = ("!group", "#ready", "#in flight", "#oldest", "#consumers")
_HANDLER_NUMBERS = (
    "claimed", "waiting", "dead", "done", "retried", "died",
    "discarded", "expired", "revoked", "duplicates", "crashes",
)  # fmt: skip


@app.command("list")
def list_queues(broker: BrokerUrl = None, ledger: LedgerUrl = None, as_json: AsJson = False) -> None:
    """Every queue and group in numbers.

    Ready and in flight at the broker, waiting and dead in the ledger.
    """
    with open_broker(broker) as opened:
        groups = [stats for spec in opened.queues() for stats in opened.stats(spec.name)]
    handlers = _handlers(open_ledger_if_there(ledger))
    found = [asdict(stats) | _parked(stats, handlers) for stats in groups]
    if as_json:
        return console.emit(found)
    if not found:
        return console.note("no queue is declared; tickrelay queue declare NAME makes one")
    made = console.table(("!queue", *_GROUP_COLUMNS, "#waiting", "#dead"))
    console.out().print(
        console.rows(made, ([row["queue"], *_group_cells(row), *_parked_cells(row)] for row in found))
    )


@app.command("show")
def show_queue(
    queue: QueueName, broker: BrokerUrl = None, ledger: LedgerUrl = None, as_json: AsJson = False
) -> None:
    """One queue: its groups and its handlers in numbers."""
    with open_broker(broker) as opened:
        groups = opened.stats(queue)
    every = _handlers(open_ledger_if_there(ledger))
    handlers = None if every is None else [stats for stats in every if stats.route.queue == queue]
    if as_json:
        return console.emit(_queue_as_json(queue, groups, handlers))
    _print_groups(queue, groups)
    if handlers:
        _print_handlers(handlers)
    elif handlers is not None:
        console.note("no handler of this queue is known to the ledger yet")


@app.command("peek")
def peek_queue(
    queue: QueueName,
    limit: Limit = 10,
    after: Annotated[
        str | None, typer.Option("--after", metavar="POSITION", help="Continue behind this position.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help=f"Whole bodies, not only {_BODY_SHOWN:,} bytes of each.")
    ] = False,
    broker: BrokerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Look at messages still on the queue, oldest first. None is taken away."""
    with open_broker(broker) as opened:
        opened.stats(queue)  # raises for a queue that isn't there, where `peek` may just be empty
        if not opened.capabilities.peek:
            raise ConfigurationError(f"this broker can't show queue {queue} without taking its messages away")
        seen = opened.peek(queue, after=after, limit=limit)
    cut = None if full else _BODY_SHOWN
    if as_json:
        return console.emit([_peeked_as_json(one, cut) for one in seen])
    for one in seen:
        _print_peeked(one, cut)
    if len(seen) == limit:
        console.note(f"there may be more: --after {seen[-1].position}")
    elif not seen:
        console.note(f"nothing {'further ' if after else ''}on queue {queue}")


@app.command("declare")
def declare_queue(
    queue: QueueName,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group", metavar="GROUP", help="A group of it; may be repeated. 'default' if none is given."
        ),
    ] = None,
    broker: BrokerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a queue and its groups exist. A group sees every message published after this."""
    with open_broker(broker, create=True) as opened:
        opened.declare(QueueSpec(queue, tuple(group or (DEFAULT_GROUP,))))
        groups = sorted(stats.group for stats in opened.stats(queue))
    if as_json:
        return console.emit({"queue": queue, "groups": groups})
    console.note(f"queue {queue} is declared, its groups: {', '.join(groups)}")


@app.command("purge")
def purge_queue(
    queue: QueueName,
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="Needed where the queue has more than one.")
    ] = None,
    yes: Yes = False,
    broker: BrokerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Drop what is ready in a group.

    What is in flight, waiting in the ledger or dead stays. A dropped message is never settled: a sensor that
    waits for its batch waits until its timeout.
    """
    with open_broker(broker) as opened:
        chosen = _one_group(opened, queue, group)
        console.confirm(
            f"Drop {console.many(chosen.ready, 'message')} of queue {queue}, group {chosen.group}, for good?",
            yes=yes,
        )
        dropped = opened.purge(queue, chosen.group)
    if as_json:
        return console.emit({"queue": queue, "group": chosen.group, "purged": dropped})
    console.note(f"dropped {console.many(dropped, 'message')} of queue {queue}, group {chosen.group}")


def _one_group(broker: Broker, queue: str, group: str | None) -> GroupStats:
    groups = {stats.group: stats for stats in broker.stats(queue)}
    if group is None and len(groups) == 1:
        return next(iter(groups.values()))
    if group not in groups:
        what = f"has no group {group}" if group else "has more than one group"
        raise ConfigurationError(f"queue {queue} {what}; name one with --group: {', '.join(sorted(groups))}")
    return groups[group]


def _handlers(ledger: Ledger | None) -> list[RouteStats] | None:
    if ledger is None:
        return None
    with ledger:
        return ledger.history.stats()


def _parked(stats: GroupStats, handlers: list[RouteStats] | None) -> dict[str, int | None]:
    """What the ledger holds of a group, over all its handlers."""
    if handlers is None:
        return {"waiting": None, "dead": None}
    ours = [one for one in handlers if (one.route.queue, one.route.group) == (stats.queue, stats.group)]
    return {"waiting": sum(one.waiting for one in ours), "dead": sum(one.dead for one in ours)}


def _group_cells(row: Mapping[str, Any]) -> list[object]:
    return [row["group"], row["ready"], row["in_flight"], console.age(row["oldest_age"]), row["consumers"]]


def _parked_cells(row: Mapping[str, Any]) -> list[object]:
    dead = row["dead"]
    return [row["waiting"], console.cell(dead, console.STYLES["dead"] if dead else "")]


def _print_groups(queue: str, groups: list[GroupStats]) -> None:
    made = console.table(_GROUP_COLUMNS, title=f"queue {console.safe(queue)}")
    console.out().print(console.rows(made, (_group_cells(asdict(stats)) for stats in groups)))


def _print_handlers(handlers: list[RouteStats]) -> None:
    """A line a number: a handler has more of them than a terminal has columns."""
    made = console.table(
        ("", *(f"#{one.route.handler} ({one.route.group})" for one in handlers)), title="handlers"
    )
    for name in _HANDLER_NUMBERS:
        made.add_row(console.state(name), *(console.cell(getattr(one, name)) for one in handlers))
    console.out().print(made)


def _queue_as_json(queue: str, groups: list[GroupStats], handlers: list[RouteStats] | None) -> dict[str, Any]:
    flat = None if handlers is None else [_handler_as_json(one) for one in handlers]
    return {"queue": queue, "groups": [asdict(stats) for stats in groups], "handlers": flat}


def _handler_as_json(stats: RouteStats) -> dict[str, Any]:
    numbers = asdict(stats)
    return {**numbers.pop("route"), **numbers}


def _peeked_as_json(one: Peeked, cut: int | None) -> dict[str, Any]:
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


def _print_peeked(one: Peeked, cut: int | None) -> None:
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


def _id_of(one: Peeked) -> str:
    try:
        return envelope.decode(one.headers, one.body).id
    except UndecodableMessage as error:
        return f"? ({error})"
