# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`history`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from tickrelay_airflow.commands.schedule import _views as views
from tickrelay_airflow.commands.schedule._options import API, AirflowUrl, AirflowUser, Name, open_airflow
from tickrelay_airflow.control.records import HistoryView
from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import AsJson
from tickrelay_messaging.ledger.schedules import TickOutcome


def tell_history(
    name: Name,
    outcome: Annotated[
        TickOutcome | None, typer.Option("--outcome", help="Only ticks of which this became.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="At most so many of each.")] = 20,
    airflow: AirflowUrl = None,
    user: AirflowUser = None,
    as_json: AsJson = False,
) -> None:
    """What became of each tick, and who changed what.

    The newest first. A tick was fired, misfired (too late), overlapped (the one before was still at it), skipped or
    revoked.
    """
    with open_airflow(airflow, user) as api:
        answer = api.get(f"{API}/{quote(name, safe='')}/history", outcome=outcome, limit=limit)
    if as_json:
        return console.emit(answer)
    found = HistoryView.model_validate(answer)
    if found.decisions:
        views.print_decisions(found.decisions)
    else:
        console.note("no tick of it has been decided" + (f" as {outcome}" if outcome else ""))
    if found.changes:
        views.print_changes(found.changes)
