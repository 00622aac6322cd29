# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Publish one message, or a stream of them from standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._lines import Template, batches
from tickrelay_consumer.commands._options import AsJson, BrokerUrl, QueueName, new_app, open_broker
from tickrelay_consumer.settings import Settings
from tickrelay_messaging.brokers.base import Broker, QueueSpec
from tickrelay_messaging.errors import ConfigurationError, PublishUnconfirmed, TickrelayError, UnknownQueue
from tickrelay_messaging.message import DEFAULT_TYPE, MAX_BODY, Message

app = new_app()


@app.command()
def publish(
    queue: QueueName,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA|-",
            help="JSON; or - for a JSON document a line on standard input.",
            show_default=False,
        ),
    ] = None,
    message_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The message's id; a random one if not given.")
    ] = None,
    id_field: Annotated[
        str | None,
        typer.Option("--id-field", metavar="NAME", help="Take each id from this field of the JSON object."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Messages of one key belong together.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="A header; may be repeated.")
    ] = None,
    kind: Annotated[str, typer.Option("--type", metavar="TYPE", help="The CloudEvents type.")] = DEFAULT_TYPE,
    deliver_at: Annotated[
        str | None,
        typer.Option(
            "--deliver-at", metavar="INSTANT", help="Not before this instant, such as 2027-01-31T08:00:00Z."
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Bytes as they are, not JSON; with - all of standard input is one message."
        ),
    ] = False,
    declare: Annotated[bool, typer.Option("--declare", help="Make the queue if it isn't there.")] = False,
    batch: Annotated[
        int,
        typer.Option(
            "--batch", min=1, max=100_000, help="Lines read and checked before they are published at once."
        ),
    ] = 10_000,
    broker: BrokerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Put one message on a queue, or one a line of standard input.

    Returns once the broker has confirmed them, and prints their ids. A bad line stops at once, and nothing of
    its batch is published: an input of one batch is published whole or not at all.
    """
    template = Template(
        source=f"/tickrelay/{Settings.load().deployment}/cli",
        type=kind,
        id=message_id,
        id_field=id_field,
        key=key,
        headers=_headers(header or ()),
        deliver_at=_instant(deliver_at),
        raw=raw,
    )
    if data == "-" and not raw:
        if message_id is not None:
            raise ConfigurationError(
                "--id names one message; for many give --id-field, the field that holds each one's id"
            )
        with open_broker(broker, create=declare) as opened:
            _declare(opened, queue, wanted=declare)
            return _publish_lines(opened, queue, template, batch, as_json=as_json)
    message = template.message(_body(data))  # checked before anything is opened
    with open_broker(broker, create=declare) as opened:
        _declare(opened, queue, wanted=declare)
        opened.publish(queue, [message])
    _print_ids(queue, [message], as_json=as_json)
    console.note(f"published 1 message to queue {queue}")


def _publish_lines(broker: Broker, queue: str, template: Template, size: int, *, as_json: bool) -> None:
    published = lines = 0
    try:
        for last_line, messages in batches(sys.stdin.buffer, template, size):
            broker.publish(queue, messages)
            published, lines = published + len(messages), last_line
            _print_ids(queue, messages, as_json=as_json)
    except TickrelayError as error:
        raise _with_progress(error, published, lines) from error
    console.note(f"published {console.many(published, 'message')} to queue {queue}")


def _with_progress(error: TickrelayError, published: int, lines: int) -> TickrelayError:
    """The same error, saying also what was published before it and where to go on."""
    done = (
        f"lines 1-{lines} ({console.many(published, 'message')}) are published, go on behind them"
        if published
        else "nothing was published"
    )
    if isinstance(error, PublishUnconfirmed):
        done = (
            f"{len(error.ids):,} messages behind line {lines} are not confirmed and may or may not be there"
        )
        return PublishUnconfirmed(f"{error}; {done}", error.ids)
    return type(error)(f"{error}; {done}")


def _declare(broker: Broker, queue: str, *, wanted: bool) -> None:
    """Only a queue that isn't there: one that is may have other groups than the default one."""
    if not wanted:
        return
    try:
        broker.stats(queue)
    except UnknownQueue:
        broker.declare(QueueSpec(queue))


def _body(data: str | None) -> bytes:
    if data is None:
        raise ConfigurationError(
            "no data: give it as JSON, or - to read a JSON document a line from standard input"
        )
    if data != "-":
        return data.encode(errors="surrogateescape")
    body = sys.stdin.buffer.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise ConfigurationError(f"standard input is over the limit of {MAX_BODY:,} bytes for one message")
    return body


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(f"--header {one!r} must be NAME=VALUE")
        headers[name.strip()] = value
    return headers


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--deliver-at {text!r} is no instant; write 2027-01-31T08:00:00Z") from None
    if instant.tzinfo is None:
        raise ConfigurationError(
            f"--deliver-at {text!r} says no zone; end it with Z or an offset such as +02:00"
        )
    return instant


def _print_ids(queue: str, messages: Sequence[Message], *, as_json: bool) -> None:
    for message in messages:
        if as_json:
            console.emit({"id": message.id, "queue": queue})
        else:
            sys.stdout.write(console.safe(message.id) + "\n")
