# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Run a consumer until it is told to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from tickrelay_consumer.commands._options import BrokerUrl, LedgerUrl, new_app
from tickrelay_consumer.settings import Settings

app = new_app()


@app.command()
def consume(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="package.module:attribute or path/file.py:attribute; 'consumer' if no attribute is given.",
            show_default=False,
        ),
    ],
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="GROUP",
            help="The group to join (env TICKRELAY_GROUP); of a replay, such as default~r1.",
        ),
    ] = None,
    until_empty: Annotated[
        float | None,
        typer.Option(
            "--until-empty",
            metavar="SECONDS",
            min=0,
            help="Stop once nothing was ready, in flight or waiting for so long.",
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            "--http", metavar="HOST:PORT", help="Serve /metrics and /healthz there (env TICKRELAY_HTTP)."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=1_024, help="Messages carried out at once.")
    ] = None,
    broker: BrokerUrl = None,
    ledger: LedgerUrl = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The log as JSON lines on standard output.")
    ] = False,
) -> int:
    """Run a consumer. Ctrl-C or SIGTERM stops it gracefully: what is in hand is finished or released."""
    settings = Settings.load(
        broker=broker, ledger=ledger, group=group, http=http, log_format="json" if as_json else None
    )
    # The engine is only imported by who runs it.
    from tickrelay_consumer.commands._logs import configure_logs
    from tickrelay_consumer.commands._target import load_consumer

    configure_logs(settings.log_level, settings.log_format, to_stdout=as_json)
    consumer = load_consumer(target)
    consumer.configure(broker=broker, ledger=ledger, group=group, http=http)
    if workers is not None:
        # Only the one limit: the others are the consumer's own business.
        consumer.configure(limits=replace(consumer.limits, workers=workers))
    return consumer.run(until_empty=until_empty)
