# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The `tickrelay` command.

Its sub-commands are found in the entry-point group `tickrelay.commands`, so that any distribution can add
some; only the one that runs is imported, and a broken one harms no other.

Exit codes: 0 done, 1 the service or the message, 2 the call or its configuration, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.main import get_command

from tickrelay_consumer.commands._plugins import PluginGroup

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="tickrelay",
    cls=PluginGroup,
    help="Tickrelay: one tick, one effect. Queues, consumers, dead letters and the life of every message.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # rich's help imports Markdown and syntax highlighting: half a second for a frame
    epilog="Settings come from TICKRELAY_BROKER, TICKRELAY_LEDGER and their like; options win over them.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tickrelay {version('tickrelay-consumer')}\n")
        raise typer.Exit


@app.callback()
def _tickrelay(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    _debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the stack of an error; may stand anywhere (env TICKRELAY_DEBUG)."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Console script: run, and leave with the exit code."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`). Python would complain about it once more at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(args: list[str]) -> int:
    """
    Run one command line, without the program's name, and return its exit code; never raises, never exits.

    This is also what `airflow tickrelay ...` calls.
    """
    args, debug = _take_debug(args)
    try:
        result = get_command(app).main(args or ["--help"], prog_name="tickrelay", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except SystemExit as error:  # a reader that has gone: typer and rich both leave this way
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the last place where it can be put in words
        if debug:
            traceback.print_exception(error)
        return _explain(error)


def _take_debug(args: list[str]) -> tuple[list[str], bool]:
    """`--debug` is added at the end of a line that failed, so it is taken from anywhere before a `--`."""
    end = args.index("--") if "--" in args else len(args)
    options = [one for one in args[:end] if one != "--debug"]
    return options + args[end:], len(options) < end or bool(os.environ.get("TICKRELAY_DEBUG"))


def _explain(error: Exception) -> int:
    """One line on standard error; returns the exit code that fits."""
    from tickrelay_messaging.errors import CallerError, TickrelayError

    if isinstance(error, BrokenPipeError):
        return 1
    if isinstance(error, typer.TyperException):
        return _explain_usage(error)
    if isinstance(error, TickrelayError):
        _say(f"error: {error}")
        return 2 if isinstance(error, CallerError) else 1
    _say(f"error: {type(error).__name__}: {error}; this is a defect of Tickrelay, --debug shows where")
    return 1


def _explain_usage(error: Any) -> int:
    # A group called without a command has printed its help already; typer's class for that isn't public.
    if type(error).__name__ != "NoArgsIsHelpError":
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "tickrelay"
        _say(f"error: {error.format_message().rstrip('.')}; see {path} --help")
    return int(error.exit_code)


def _say(text: str) -> None:
    from tickrelay_consumer.commands._console import note

    note(" ".join(text.split()), style="red")
