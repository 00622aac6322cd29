# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Queues: list, show, look inside, declare, replay, purge, forget a group."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands import _queue_views as views
from tickrelay_consumer.commands._options import (
    AsJson,
    BrokerUrl,
    LedgerUrl,
    Limit,
    QueueName,
    new_app,
    open_broker,
    open_ledger_if_there,
)
from tickrelay_consumer.commands._queue_groups import forget_group, purge_queue, replay_queue
from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, GroupStats, QueueSpec
from tickrelay_messaging.brokers.lanes import MAX_LANES
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.reports import RouteStats

app = new_app("Queues: list, show, look inside, declare, replay, purge, forget a group.")

_BODY_SHOWN = 2_000


@app.command("list")
def list_queues(broker: BrokerUrl = None, ledger: LedgerUrl = None, as_json: AsJson = False) -> None:
    """Every queue and group in numbers.

    Ready and in flight at the broker, waiting and dead in the ledger.
    """
    with open_broker(broker) as opened:
        groups = [(spec.lanes, stats) for spec in opened.queues() for stats in opened.stats(spec.name)]
    handlers = _handlers(open_ledger_if_there(ledger))
    found = [asdict(stats) | {"lanes": lanes} | views.parked(stats, handlers) for lanes, stats in groups]
    if as_json:
        return console.emit(found)
    if not found:
        return console.note("no queue is declared; tickrelay queue declare NAME makes one")
    views.print_queues(found)


@app.command("show")
def show_queue(
    queue: QueueName, broker: BrokerUrl = None, ledger: LedgerUrl = None, as_json: AsJson = False
) -> None:
    """One queue: its groups and its handlers in numbers."""
    with open_broker(broker) as opened:
        groups = opened.stats(queue)
        lanes = _lanes(opened, queue)
    every = _handlers(open_ledger_if_there(ledger))
    handlers = None if every is None else [stats for stats in every if stats.route.queue == queue]
    if as_json:
        return console.emit(_queue_as_json(queue, lanes, groups, handlers))
    views.print_groups(queue, lanes, groups)
    if handlers:
        views.print_handlers(handlers)
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
        return console.emit([views.peeked_as_json(one, cut) for one in seen])
    for one in seen:
        views.print_peeked(one, cut)
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
    lanes: Annotated[
        int | None,
        typer.Option(
            "--lanes",
            metavar="N",
            min=1,
            max=MAX_LANES,
            help="Spread messages by key over so many lanes, each worked on by one consumer at a time.",
        ),
    ] = None,
    broker: BrokerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a queue and its groups exist.

    A group sees every message published after this. Lanes keep the messages of a key in their order, however
    many consumers there are; their number can't be changed later.
    """
    with open_broker(broker, create=True) as opened:
        opened.declare(QueueSpec(queue, tuple(group or (DEFAULT_GROUP,)), lanes or 0))
        groups = sorted(stats.group for stats in opened.stats(queue))
        settled = _lanes(opened, queue)
    if as_json:
        return console.emit({"queue": queue, "groups": groups, "lanes": settled})
    which = f", {console.many(settled, 'lane')}" if settled else ""
    console.note(f"queue {queue} is declared, its groups: {', '.join(groups)}{which}")


app.command("replay")(replay_queue)
app.command("purge")(purge_queue)
app.command("forget")(forget_group)


def _lanes(broker: Broker, queue: str) -> int:
    return next((spec.lanes for spec in broker.queues() if spec.name == queue), 0)


def _handlers(ledger: Ledger | None) -> list[RouteStats] | None:
    if ledger is None:
        return None
    with ledger:
        return ledger.history.stats()


def _queue_as_json(
    queue: str, lanes: int, groups: list[GroupStats], handlers: list[RouteStats] | None
) -> dict[str, Any]:
    flat = None if handlers is None else [views.handler_as_json(one) for one in handlers]
    return {"queue": queue, "lanes": lanes, "groups": [asdict(stats) for stats in groups], "handlers": flat}
