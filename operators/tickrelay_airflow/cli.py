# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`airflow tickrelay ...`: the commands of `tickrelay`, with broker and ledger of the Airflow connection."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand

from tickrelay_messaging.errors import TickrelayError

_COMMANDS = {
    "queue": "List, show, peek at and purge queues",
    "dead": "List, show, replay and discard dead letters",
    "trace": "Tell the life of a message or of a DAG run's messages",
    "publish": "Put a message on a queue",
    "doctor": "Check broker, ledger and settings",
    "schedule": "List, pause, resume, trigger, skip, set and lint schedules",
}


def get_commands() -> list[CLICommand]:
    """The group `tickrelay` for Airflow's command line."""
    return [
        GroupCommand(
            name="tickrelay",
            help="Queues, dead letters, schedules and lives of messages",
            subcommands=tuple(_command(name, text) for name, text in _COMMANDS.items()),
        )
    ]


class _Everything(Arg):
    """Whatever follows, options too."""

    def __init__(self) -> None:
        super().__init__(  # type: ignore[no-untyped-call] # Airflow's
            flags=("rest",), nargs=argparse.REMAINDER, help="as for `tickrelay`"
        )

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        """
        As an argument of a parser for which nothing is an option, `--help` neither: they are the command's
        own.
        """
        parser.prefix_chars = "\0"
        super().add_to_parser(parser)


def _command(name: str, text: str) -> ActionCommand:
    return ActionCommand(name=name, help=text, func=partial(_run, name), args=(_Everything(),))


def _run(name: str, args: argparse.Namespace) -> None:
    """Hand over to the `tickrelay` command, and end with its status."""
    from tickrelay_consumer.commands import run

    try:
        _use_connection()
        _use_api_server()
    except TickrelayError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    runner: Callable[[list[str]], int] = run
    sys.exit(runner([name, *args.rest]))


def _use_connection() -> None:
    """Broker and ledger from the Airflow connection, where the environment names none."""
    if "TICKRELAY_BROKER" in os.environ:
        return
    from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID, Settings

    # Otherwise Airflow looks for connections in the environment only; its own commands do the same.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    settings = Settings.load(os.environ.get("TICKRELAY_CONN_ID", DEFAULT_CONN_ID))
    os.environ["TICKRELAY_BROKER"] = settings.broker
    os.environ.setdefault("TICKRELAY_DEPLOYMENT", settings.deployment)
    if settings.ledger is not None:
        os.environ.setdefault("TICKRELAY_LEDGER", settings.ledger)


def _use_api_server() -> None:
    """The API server of this Airflow, where the environment names none."""
    from airflow.configuration import conf

    address = conf.get("api", "base_url", fallback="") or f"http://127.0.0.1:{conf.get('api', 'port')}"
    os.environ.setdefault("TICKRELAY_AIRFLOW_URL", address)
