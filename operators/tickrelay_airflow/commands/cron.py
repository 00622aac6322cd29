# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""``tickrelay cron``: when a cron expression ticks, for one expression or for a whole repository's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer

from tickrelay_airflow.cron import Cron, CronError, Gap, Overlap, describe

app = typer.Typer(help="See when cron expressions tick.", no_args_is_help=True)

_MOST = 100_000
_COLUMNS = 4


@app.callback()
def cron() -> None:
    """See when cron expressions tick."""


@dataclass(frozen=True)
class Question:
    """What to ask of one expression, and how to answer."""

    expression: str
    zone: str
    start: str
    count: str
    gap: Gap
    overlap: Overlap

    def ticks(self) -> list[str]:
        """The coming ticks as ``2026-03-08T07:30:00Z``; fewer when the schedule ends before.

        Raises:
            CronError: expression, zone, start or count cannot be used; says why.
        """
        schedule = Cron(self.expression, timezone=self.zone, gap=self.gap, overlap=self.overlap)
        after, count = _start(self.start), _count(self.count)
        return [f"{tick:%Y-%m-%dT%H:%M:%SZ}" for tick in islice(_coming(schedule, after), count)]


@app.command("next")
def next_(
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPR",
            help="Cron expression, or - to read 'expression<TAB>zone<TAB>from<TAB>count' lines from standard "
            "input and answer each with one line. Columns left empty or out take the options' values.",
        ),
    ],
    zone: Annotated[str, typer.Option(help="IANA time zone in which the fields are read.")] = "UTC",
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="ISO 8601 instant; ticks come strictly after it. UTC unless it has an offset. Default: now.",
        ),
    ] = "",
    count: Annotated[str, typer.Option(metavar="N", help=f"How many ticks, 1 to {_MOST}.")] = "5",
    gap: Annotated[Gap, typer.Option(help="Wall times that do not exist: leave out, or move.")] = "skip",
    overlap: Annotated[
        Overlap, typer.Option(help="Wall times that come twice: how often to tick.")
    ] = "first",
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, one object a line.")] = False,
) -> None:
    """Print the coming ticks of a cron expression, one UTC instant a line."""
    question = Question(expression, zone, start, count, gap, overlap)
    if expression == "-":
        _answer_all(question, as_json=as_json)
        return
    try:
        ticks = question.ticks()
    except CronError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(_object(question, ticks) if as_json else "\n".join(ticks), nl=as_json or bool(ticks))


def _answer_all(defaults: Question, *, as_json: bool) -> None:
    """Answer each line of standard input by one line: ticks separated by commas, or ``error: why``."""
    for line in sys.stdin.buffer:
        text = line.decode(errors="replace").rstrip("\r\n")
        typer.echo(_answer(defaults, text, as_json=as_json))


def _answer(defaults: Question, line: str, *, as_json: bool) -> str:
    try:
        question = _question(defaults, line)
        ticks = question.ticks()
    except CronError as error:
        return json.dumps({"error": str(error)}) if as_json else f"error: {error}"
    return _object(question, ticks) if as_json else ",".join(ticks)


def _question(defaults: Question, line: str) -> Question:
    columns = line.split("\t")
    if len(columns) > _COLUMNS or not columns[0].strip():
        raise CronError(f"line has {len(columns)} columns; write expression<TAB>zone<TAB>from<TAB>count")
    given = [column.strip() for column in columns] + [""] * (_COLUMNS - len(columns))
    expression, zone, start, count = given
    return Question(
        expression,
        zone or defaults.zone,
        start or defaults.start,
        count or defaults.count,
        defaults.gap,
        defaults.overlap,
    )


def _object(question: Question, ticks: list[str]) -> str:
    answer = {
        "expression": question.expression,
        "timezone": question.zone,
        "description": describe(question.expression),
        "ticks": ticks,
    }
    return json.dumps(answer)


def _coming(schedule: Cron, after: datetime) -> Iterator[datetime]:
    tick = schedule.next(after)
    while tick is not None:
        yield tick
        tick = schedule.next(tick)


def _start(text: str) -> datetime:
    if not text:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CronError(
            f"from: {text!r} is no ISO 8601 instant; write one like 2026-03-08T07:30:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST)) and 1 <= int(text) <= _MOST):
        raise CronError(f"count: {text!r} is not a whole number from 1 to {_MOST}")
    return int(text)
