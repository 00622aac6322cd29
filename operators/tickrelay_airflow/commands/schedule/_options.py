# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Options that the verbs share, and what they open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated
from urllib.parse import quote

import typer

from tickrelay_airflow.control.access import Access, home_variables
from tickrelay_airflow.control.api import AirflowApi
from tickrelay_airflow.control.desk import Desk
from tickrelay_airflow.control.errors import AirflowUnavailable
from tickrelay_airflow.control.records import Definition, Outcome, ScheduleView
from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import open_ledger
from tickrelay_consumer.commands._who import who
from tickrelay_consumer.settings import Settings
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.schedules import schedule_id

API = "/tickrelay/api/schedules"

Name = Annotated[str, typer.Argument(metavar="NAME", help="The DAG's id.", show_default=False)]
AirflowUrl = Annotated[
    str | None,
    typer.Option(
        "--airflow", metavar="URL", help="Where Airflow is (env TICKRELAY_AIRFLOW_URL).", show_default=False
    ),
]
AirflowUser = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="NAME",
        help="Airflow user (env TICKRELAY_AIRFLOW_USER); password or token come from the environment.",
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit trail.")]


@contextmanager
def open_airflow(url: str | None, user: str | None) -> Iterator[AirflowApi]:
    """The Airflow meant; see `Access`."""
    with AirflowApi.open(Access.find(url, user)) as airflow:
        yield airflow


def view_of(airflow: AirflowApi, name: str) -> ScheduleView:
    """One schedule as Airflow and its ledger know it."""
    return ScheduleView.model_validate(airflow.get(f"{API}/{quote(name, safe='')}"))


@contextmanager
def desk_for(
    name: str, reason: str, airflow: tuple[str | None, str | None], ledger: str | None, *, blind: bool = False
) -> Iterator[Desk]:
    """
    What a verb works with.

    Args:
        airflow: URL and user.
        blind: go on where Airflow doesn't answer, with the schedule id that the settings make.
    """
    with ExitStack() as stack:
        api = stack.enter_context(open_airflow(*airflow))
        target = _target(api, name, blind=blind)
        desk = Desk(api, _once(stack, ledger), target, who(), reason.strip())
        desk.require_right()
        yield desk


def ledger_url(given: str | None) -> str | None:
    """The ledger meant, where it is neither an option nor in the environment: that of the local home."""
    if given is None and not os.environ.get("TICKRELAY_LEDGER"):
        return home_variables().get("TICKRELAY_LEDGER")
    return given


def report(outcome: Outcome, *, as_json: bool) -> None:
    """What a verb has done."""
    if as_json:
        return console.emit(outcome.model_dump(mode="json"))
    console.note(outcome.text)


def _target(api: AirflowApi, name: str, *, blind: bool) -> Definition:
    try:
        return view_of(api, name)
    except AirflowUnavailable as error:
        if not blind or not error.retryable:
            raise
        schedule = schedule_id(deployment(), name)
        console.warn(
            f"Airflow doesn't answer, so {name} is taken for schedule {schedule} (TICKRELAY_DEPLOYMENT)"
        )
        return Definition.unread(name, schedule)


def deployment() -> str:
    """The name in every schedule's id, where Airflow doesn't tell it."""
    said = None if os.environ.get("TICKRELAY_DEPLOYMENT") else home_variables().get("TICKRELAY_DEPLOYMENT")
    return Settings.load(deployment=said).deployment


def _once(stack: ExitStack, url: str | None) -> Callable[[], Ledger]:
    """Opens the ledger when it is first needed."""
    opened: list[Ledger] = []

    def ledger() -> Ledger:
        if not opened:
            opened.append(stack.enter_context(open_ledger(ledger_url(url))))
        return opened[0]

    return ledger
