# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Commands about one group of a queue: drop what is ready, end it, read its messages again in another."""

from __future__ import annotations

import re
import shlex
import time
from datetime import datetime
from itertools import count
from typing import Annotated

import typer

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import AsJson, BrokerUrl, QueueName, Yes, open_broker
from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, GroupStats
from tickrelay_messaging.errors import ConfigurationError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


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


def forget_group(
    queue: QueueName,
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group to end.", show_default=False)],
    yes: Yes = False,
    broker: BrokerUrl = None,
    as_json: AsJson = False,
) -> None:
    """End a group and drop what it has not acknowledged.

    Other groups keep their messages. What the ledger knows of the group stays there. Stop its consumers first.
    """
    with open_broker(broker) as opened:
        chosen = _one_group(opened, queue, group)
        if chosen.ready or chosen.in_flight or chosen.in_flight is None:
            console.confirm(f"End group {group} of queue {queue}, which holds {_holds(chosen)}?", yes=yes)
        opened.forget(queue, group)
    if as_json:
        return console.emit(
            {"queue": queue, "group": group, "ready": chosen.ready, "in_flight": chosen.in_flight}
        )
    console.note(f"group {group} of queue {queue} is ended; dropped: {_holds(chosen)}")


def replay_queue(
    queue: QueueName,
    group: Annotated[
        str, typer.Option("--group", metavar="GROUP", help="Whose messages to carry out again.")
    ] = DEFAULT_GROUP,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="INSTANT|AGO",
            help="Published at 2026-11-23T10:00:00Z or later, or within the last 90s, 30min, 2h, 1d.",
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="POSITION", help="Behind this position.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="The replay's name; r1, r2... if none is given."),
    ] = None,
    broker: BrokerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Read messages again that were acknowledged, as far back as the broker keeps them.

    Makes a temporary group, such as default~r1, with records of its own in the ledger, so that handlers carry
    out every message anew. Prints how to work it off; nothing happens before.
    """
    begin = _begin(since, time.time())
    with open_broker(broker) as opened:
        _one_group(opened, queue, group)
        temporary = f"{group}~{name or _free_name(opened, queue, group)}"
        opened.replay(queue, temporary, since=begin, after=after)
        made = _one_group(opened, queue, temporary)
    lines = {
        "consume": f"tickrelay consume TARGET --group {temporary} --until-empty 5",
        "forget": f"tickrelay queue forget {shlex.quote(queue)} {temporary}",
    }
    if as_json:
        return console.emit(
            {"queue": queue, "group": temporary, "ready": made.ready, "since": begin, **lines}
        )
    console.note(f"group {temporary} of queue {queue} begins with {console.many(made.ready, 'message')}")
    console.note("carry them out again, with TARGET as in the service that consumes the queue:")
    console.out().print(lines["consume"], soft_wrap=True)
    console.note("then end it, since it goes on to get every message published:")
    console.out().print(lines["forget"], soft_wrap=True)


def _one_group(broker: Broker, queue: str, group: str | None) -> GroupStats:
    groups = {stats.group: stats for stats in broker.stats(queue)}
    if group is None and len(groups) == 1:
        return next(iter(groups.values()))
    names = ", ".join(sorted(groups)) or "none"
    if group is None:
        raise ConfigurationError(f"queue {queue} has more than one group; name one with --group: {names}")
    if group not in groups:
        raise ConfigurationError(f"queue {queue} has no group {group}; its groups: {names}")
    return groups[group]


def _free_name(broker: Broker, queue: str, group: str) -> str:
    taken = {stats.group for stats in broker.stats(queue)}
    return next(f"r{number}" for number in count(1) if f"{group}~r{number}" not in taken)


def _holds(stats: GroupStats) -> str:
    if stats.in_flight is None:
        return f"{console.many(stats.ready, 'message')} ready or in flight"
    return f"{console.many(stats.ready, 'message')} ready and {stats.in_flight:,} in flight"


def _begin(text: str | None, now: float) -> float | None:
    """Unix seconds of an instant, or of so long ago."""
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--since {text!r} is no instant and no duration; write 2026-11-23T10:00:00Z, or 2h"
        ) from None
    if instant.tzinfo is None:
        raise ConfigurationError(f"--since {text!r} says no zone; end it with Z or an offset such as +02:00")
    return instant.timestamp()
