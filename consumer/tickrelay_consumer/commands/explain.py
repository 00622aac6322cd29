# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which guarantee holds for each handler, and which window is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import AsJson, new_app
from tickrelay_consumer.settings import Settings
from tickrelay_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from tickrelay_consumer.consumer import Consumer
    from tickrelay_consumer.guarantees import Guarantee

app = new_app()


@app.command()
def explain(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="package.module:attribute or path/file.py:attribute; 'consumer' if no attribute is given.",
            show_default=False,
        ),
    ],
    broker: Annotated[
        list[str] | None,
        typer.Option(
            "--broker", metavar="URL", help="On this broker; several are compared.", show_default=False
        ),
    ] = None,
    ledger: Annotated[
        list[str] | None,
        typer.Option(
            "--ledger", metavar="URL", help="On this ledger; several are compared.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say which guarantee holds for each handler, on each broker and ledger, and which window is left.

    Asks broker and ledger for their settings and changes nothing. Exit code 1 if a consumer wouldn't start like this.
    """
    from tickrelay_consumer.commands._target import load_consumer

    found = _guarantees(load_consumer(target), broker, ledger)
    if as_json:
        console.emit([asdict(one) for one in found])
    else:
        for one in found:
            _print(one)
    return 1 if any(one.refused for one in found) else 0


def _guarantees(
    consumer: Consumer, brokers: Sequence[str] | None, ledgers: Sequence[str] | None
) -> list[Guarantee]:
    from tickrelay_consumer.commands._facts import broker_facts, ledger_facts
    from tickrelay_consumer.guarantees import guarantee

    if not consumer.handlers:
        raise ConfigurationError("this consumer has no handler; register one with @consumer.handler(QUEUE)")
    own = consumer.urls()
    settings = Settings.load(**{name: url for name, url in own.items() if url})
    asked_brokers = [broker_facts(url) for url in brokers or [settings.broker]]
    asked_ledgers = [ledger_facts(url) for url in ledgers or [settings.ledger]]
    return [
        guarantee(handler, broker, ledger, consumer.limits.retention)
        for handler in consumer.handlers
        for broker in asked_brokers
        for ledger in asked_ledgers
    ]


def _print(one: Guarantee) -> None:
    screen = console.out()
    title = f"{one.handler} of queue {one.queue}, broker {one.broker}, ledger {one.ledger}"
    screen.print(Text(console.safe(title), style="bold"), soft_wrap=True)
    made = console.table(("", ""))
    made.show_header = False
    facts = {
        "delivery": one.delivery,
        "effect": one.effect,
        "order": one.order,
        "runs": one.runs,
        "duplicates": one.dedup,
    }
    lines = [(Text(name, style="dim"), text) for name, text in facts.items()]
    lines += [(Text("window", style="yellow"), text) for text in one.windows or ("none",)]
    lines += [(Text("refused", style="bold red"), text) for text in one.refused]
    screen.print(console.rows(made, lines))
