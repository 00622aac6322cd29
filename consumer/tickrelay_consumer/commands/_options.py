# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Options that commands share, each written once, and what they open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import typer

from tickrelay_consumer.commands import _console
from tickrelay_consumer.settings import Settings
from tickrelay_messaging.brokers.base import Broker
from tickrelay_messaging.errors import ConfigurationError, TickrelayError
from tickrelay_messaging.ledger.base import Ledger


def new_app(help_text: str | None = None) -> typer.Typer:
    """A typer app that behaves as all of ours; a group of commands says what it is for."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        no_args_is_help=help_text is not None,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


BrokerUrl = Annotated[
    str | None,
    typer.Option(
        "--broker", metavar="URL", help="Where the queues are (env TICKRELAY_BROKER).", show_default=False
    ),
]
LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger", metavar="URL", help="Where the ledger is (env TICKRELAY_LEDGER).", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, and nothing else there.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count.")]
QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]


def open_broker(url: str | None, *, create: bool = False) -> Broker:
    """
    The broker meant, with `create` also one whose SQLite file isn't there yet.

    Raises:
        ConfigurationError: bad settings, or no such file: looking must not leave a file behind.
    """
    chosen = Settings.load(broker=url).broker
    if not create:
        _refuse_missing(chosen, "broker", "tickrelay queue declare makes it")
    return _connect_broker(chosen)


def open_ledger(url: str | None, *, create: bool = False) -> Ledger:
    """The ledger meant; otherwise as `open_broker`."""
    chosen = Settings.load(ledger=url).ledger
    if not create:
        _refuse_missing(chosen, "ledger", "the first consumer makes it")
    return _connect_ledger(chosen)


def open_ledger_if_there(url: str | None) -> Ledger | None:
    """The ledger, or None and a warning: for commands that have something to show without it."""
    try:
        return open_ledger(url)
    except TickrelayError as error:
        _console.warn(f"without the ledger's part: {error}")
        return None


def sqlite_file(url: str) -> Path | None:
    """The file a SQLite URL names (relative to the working directory), or None for every other URL."""
    if not url.startswith("sqlite:///"):
        return None
    return Path(unquote(url.removeprefix("sqlite:///").partition("?")[0]))


def _refuse_missing(url: str, what: str, made_by: str) -> None:
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise ConfigurationError(
            f"no {what} file {file} here; {made_by}, --{what} or TICKRELAY_{what.upper()} names another"
        )


def _connect_broker(url: str) -> Broker:
    # Imported late: a driver is loaded only once a command needs it.
    from tickrelay_consumer.commands._logs import quiet_logs
    from tickrelay_messaging.brokers import open_broker as connect

    quiet_logs()
    return connect(url)


def _connect_ledger(url: str) -> Ledger:
    from tickrelay_consumer.commands._logs import quiet_logs
    from tickrelay_messaging.ledger import open_ledger as connect

    quiet_logs()
    return connect(url)
