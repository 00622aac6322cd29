# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay up`: Airflow, a consumer and the demo's orders in one terminal."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tickrelay_airflow.local.home import Home
from tickrelay_airflow.local.picture import view_for
from tickrelay_airflow.local.ports import free_port, web_port
from tickrelay_airflow.local.settings import LocalSettings
from tickrelay_airflow.local.system import System

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.command()
def up(
    home: Annotated[
        Path, typer.Option("--home", envvar="TICKRELAY_HOME", metavar="DIR", help="Where everything is kept.")
    ] = Path(".tickrelay"),
    dags: Annotated[Path, typer.Option("--dags", metavar="DIR", help="The DAG files.")] = Path("dags"),
    consumer: Annotated[
        str, typer.Option("--consumer", metavar="FILE:ATTR", help="The consumer to run; 'none' runs none.")
    ] = "examples/orders/consumer.py:consumer",
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker", metavar="URL", help="amqp://, kafka:// or redis://; by default queue.db in the home."
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", metavar="URL", help="The ledger; by default ledger.db in the home."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Of the web pages; by default 8080, or a free one."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            min=1,
            metavar="SECONDS",
            help="Make orders until so many seconds after the start, settle them, stop.",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", min=0, max=500, help="Demo orders a second; 0 for none.")
    ] = 2.0,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Whether to make demo orders at all.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON line on standard output.")
    ] = False,
) -> int:
    """
    Run the whole system here: Airflow with the DAGs, a consumer, demo orders. Ctrl-C stops all of it.

    The counts at the end cover the home's whole life and, with the demo, the orders alone: published = orders whose
    messages were confirmed, effects = rows the consumer wrote, duplicates = rows beyond the first of an order, lost =
    published orders with neither row nor dead letter. Heartbeats and schedules.yaml show in the live figures only.
    Exit code 1 if anything was lost or done twice, or if a run with --for saw no effect of its orders.
    """
    # This process's start, imports and all. Its birth would be ./run's, which has synced the lock first.
    begun = datetime.now(UTC) - timedelta(seconds=time.process_time())
    place = Home(home.absolute())
    place.create()
    settings = LocalSettings(
        home=place,
        project=Path.cwd(),
        dags=dags.absolute(),
        consumer=None if consumer == "none" else consumer,
        broker=broker or place.url("queue.db"),
        ledger=ledger or place.url("ledger.db"),
        web=web_port(port),
        metrics=free_port(),
        rate=rate if demo else 0,
    )
    settings.check()
    if broker is not None:
        settings.reach_broker()
    return _run(settings, begun, seconds, as_json)


def _run(settings: LocalSettings, begun: datetime, seconds: float | None, as_json: bool) -> int:
    # Standard output is for the JSON line alone; without it people look there.
    console = Console(stderr=as_json)
    view = view_for(console, settings.web_address)
    with settings.home.hold():
        view.say(f"Airflow will be at {settings.web_address}; everything is kept in {settings.home.path}")
        with view:
            summary = System(settings, view, begun).run(seconds)
    console.print(summary.sentence(), highlight=False, soft_wrap=True)
    if as_json:
        sys.stdout.write(summary.line() + "\n")
    idle = seconds is not None and settings.demo and summary.seconds_to_first_effect is None
    return 1 if idle or not summary.good else 0
