# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`set`."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tickrelay_airflow.commands.schedule._options import (
    AirflowUrl,
    AirflowUser,
    Name,
    Reason,
    deployment,
    ledger_url,
    open_airflow,
    view_of,
)
from tickrelay_airflow.commands.schedule.linting import default_file
from tickrelay_airflow.control import python_files
from tickrelay_airflow.control.editing import edit, line_of
from tickrelay_airflow.control.records import ScheduleView
from tickrelay_airflow.cron import Cron, CronError, Gap, Overlap
from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import AsJson, LedgerUrl, open_ledger
from tickrelay_consumer.commands._who import who
from tickrelay_messaging.errors import ConfigurationError, TickrelayError
from tickrelay_messaging.ledger.schedules import schedule_id

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def set_schedule(
    name: Name,
    expression: Annotated[
        str,
        typer.Argument(metavar="EXPR", help="The cron expression, as in CronSchedule.", show_default=False),
    ],
    zone: Annotated[
        str | None, typer.Option("--zone", metavar="ZONE", help="IANA time zone; as before if left out.")
    ] = None,
    gap: Annotated[Gap | None, typer.Option("--gap", help="Wall times that do not exist.")] = None,
    overlap: Annotated[Overlap | None, typer.Option("--overlap", help="Wall times that come twice.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="The file; dags/schedules.yaml if left out."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the diff.")] = False,
    reason: Reason = "",
    airflow: AirflowUrl = None,
    user: AirflowUser = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> int:
    """Change when it ticks, in schedules.yaml itself.

    Prints the diff. Comments, order and everything else stay as they are; Airflow takes it up when it reads the
    file next. A DAG written in Python is left alone: the line to change is printed instead, with exit code 1.
    """
    wanted = {"timezone": zone, "gap": gap, "overlap": overlap}
    changes = {"cron": expression} | {field: value for field, value in wanted.items() if value is not None}
    _check(name, changes)
    path = file or default_file()
    before = _read(path) if file is not None or path.is_file() else ""
    after = edit(before, name, changes)
    if after is None:
        if file is not None:
            raise ConfigurationError(f"{path} has no schedule {name}")
        console.note(f"{path} has no schedule {name}; asking Airflow where it is")
        with open_airflow(airflow, user) as api:
            return _point_at(view_of(api, name), changes, as_json=as_json)
    if after != before and not dry_run:
        _write(path, after)
        _enter(name, f"{_in_words(changes)} in {path}", reason, ledger)
    return _report(name, path, (before, after), dry_run=dry_run, as_json=as_json)


def _check(name: str, changes: Mapping[str, str]) -> None:
    """
    Refuse what the timetable would refuse.

    Raises:
        CronError: says what to write instead.
    """
    policy = {field: value for field, value in changes.items() if field != "cron"}
    cron = Cron(changes["cron"], seed=name, **policy)  # type: ignore[arg-type] # it checks them itself
    if cron.next(_BEGINNING) is None:
        raise CronError(f"expression: '{changes['cron']}' never ticks; no such time exists from 1970 to 2199")


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as file:  # line breaks stay what they are
            return file.read()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from error


def _write(path: Path, text: str) -> None:
    """Replace the file at once, its rights kept; a link stays a link."""
    target = path.resolve()
    handle, fresh = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(fresh).chmod(target.stat().st_mode & 0o7777)
        Path(fresh).replace(target)
    except OSError as error:
        Path(fresh).unlink(missing_ok=True)
        raise ConfigurationError(f"{path} can't be written: {error}; nothing was changed") from error


def _enter(name: str, what: str, reason: str, ledger: str | None) -> None:
    """Into the audit trail; the file is changed already, so a ledger that isn't there is only told."""
    detail = f"{schedule_id(deployment(), name)} {what}" + (f": {reason.strip()}" if reason.strip() else "")
    try:
        with open_ledger(ledger_url(ledger)) as opened:
            opened.audit.enter(who=who(), what="schedule set", detail=detail)
    except TickrelayError as error:
        console.warn(f"the file is changed, but the audit trail doesn't have it: {error}")


def _in_words(changes: Mapping[str, str]) -> str:
    return ", ".join(f"{field} {value!r}" for field, value in changes.items())


def _report(name: str, path: Path, texts: tuple[str, str], *, dry_run: bool, as_json: bool) -> int:
    before, after = texts
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), str(path), lineterm="")
    diff = list(lines)
    if as_json:
        facts = {"name": name, "file": str(path), "line": line_of(after, name), "dry_run": dry_run}
        console.emit({**facts, "changed": before != after, "diff": diff})
        return 0
    _print(diff)
    if before == after:
        console.note(f"{name} is like that already in {path}")
    elif not dry_run:
        console.note(f"{name} is changed in {path}; Airflow takes it up when it reads the file next")
    return 0


def _print(diff: Sequence[str]) -> None:
    for line in diff:
        console.out().print(Text(console.safe(line), style=_STYLES.get(line[:1], "")), soft_wrap=True)


def _point_at(found: ScheduleView, changes: Mapping[str, str], *, as_json: bool) -> int:
    """A DAG in Python: where to change what. Nothing was set, so the exit code is 1."""
    path = Path(found.file)
    source = _read(path) if path.is_file() else ""
    places = python_files.find(source, found.expression, changes["cron"])
    rest = {field: value for field, value in changes.items() if field != "cron"}
    if as_json:
        lines = [{"line": one.line, "old": one.old, "new": one.new} for one in places]
        facts = {"name": found.dag_id, "file": found.file, "changed": False, "arguments": rest}
        console.emit({**facts, "places": lines})
        return 1
    console.note(f"{found.dag_id} is no entry of schedules.yaml; change it where it is written")
    for one in places:
        console.out().print(Text(console.safe(f"{found.file}:{one.line}: {one.old}")), soft_wrap=True)
        console.out().print(Text(console.safe(f"  -> {one.new}"), style="green"), soft_wrap=True)
    if not places:
        text = f"{found.file}: in the CronSchedule of {found.dag_id}, {found.expression!r} -> {changes['cron']!r}"
        console.out().print(Text(console.safe(text)), soft_wrap=True)
    if rest:
        console.note(f"and give the CronSchedule {_in_words(rest)}")
    return 1
