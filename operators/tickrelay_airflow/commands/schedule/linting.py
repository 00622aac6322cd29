# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`lint`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tickrelay_airflow.control.access import home_dags
from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import AsJson
from tickrelay_messaging.errors import ConfigurationError

FILE_NAME = "schedules.yaml"


def lint(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...", help="Files of schedules; dags/schedules.yaml if none.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check files of schedules, as for CI.

    Reads them as Airflow will; exit code 1 if an entry is broken. Prints a line a mistake, as `file:line: field:
    what is wrong`. Nothing has to run for it.
    """
    chosen = files or [default_file()]
    found = [(file, *problem) for file in chosen for problem in _problems(file)]
    if as_json:
        names = ("file", "line", "field", "problem")
        console.emit([dict(zip(names, (str(one[0]), *one[1:]), strict=True)) for one in found])
        return 1 if found else 0
    for file, line, field, text in found:
        sys.stdout.write(console.safe(f"{file}:{line}: {field}: {text}") + "\n")
    if not found:
        console.note(f"{console.many(len(chosen), 'file')}, nothing wrong")
    return 1 if found else 0


def default_file() -> Path:
    """`dags/schedules.yaml` here, else in the DAG folder of the local home."""
    here = Path("dags") / FILE_NAME
    folder = home_dags()
    return folder / FILE_NAME if folder is not None and not here.exists() else here


def _problems(file: Path) -> Iterator[tuple[int, str, str]]:
    """
    Line, field and what is wrong.

    Raises:
        ConfigurationError: there is no such file, which the factory takes for an empty one.
    """
    if not file.is_file():
        raise ConfigurationError(f"no file {file} here; name the one to check")
    with tempfile.TemporaryDirectory() as folder:
        # The factory's own parser imports Airflow, which makes a home wherever it is told to, or in the user's.
        os.environ.setdefault("AIRFLOW_HOME", folder)
        from tickrelay_airflow.schedules.entry import Problem, read_entries

        for one in read_entries(file):
            if isinstance(one, Problem):
                yield from one.details
