# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Run a consumer until it is told to stop."""

from __future__ import annotations

from typing import Annotated, Any

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
            help="The consumer: package.module:attribute or path/file.py:attribute ('consumer' if no attribute is given).",
            show_default=False,
        ),
    ],
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="The group to join (env TICKRELAY_GROUP).")
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
    as_json: Annotated[bool, typer.Option("--json", help="Logs as JSON lines.")] = False,
) -> int:
    """Run a consumer. Ctrl-C or SIGTERM stops it gracefully: what is in hand is finished or released."""
    settings = Settings.load(
        broker=broker, ledger=ledger, group=group, http=http, log_format="json" if as_json else None
    )
    # The engine is only imported by who runs it.
    from tickrelay_consumer.commands._target import load_consumer

    consumer = load_consumer(target)
    overrides: dict[str, Any] = {
        "broker": broker,
        "ledger": ledger,
        "group": group,
        "http": settings.http,
        "workers": workers,
    }
    consumer.configure(**{name: value for name, value in overrides.items() if value is not None})
    return consumer.run()
