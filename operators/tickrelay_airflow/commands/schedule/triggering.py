# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`trigger`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tickrelay_airflow.commands.schedule._options import (
    AirflowUrl,
    AirflowUser,
    Name,
    Reason,
    desk_for,
    report,
)
from tickrelay_airflow.control.triggering import trigger
from tickrelay_consumer.commands._options import AsJson, LedgerUrl
from tickrelay_messaging import strict_json
from tickrelay_messaging.errors import ConfigurationError


def trigger_schedule(
    name: Name,
    conf: Annotated[str, typer.Option("--conf", metavar="JSON", help="The run's conf, an object.")] = "{}",
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run-id", metavar="ID", help="Names the run, so that saying it again makes no second one."
        ),
    ] = None,
    reason: Reason = "",
    airflow: AirflowUrl = None,
    user: AirflowUser = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """A manual run now, that belongs to no tick."""
    given = _object(conf)
    with desk_for(name, reason, (airflow, user), ledger) as desk:
        report(trigger(desk, given, run_id), as_json=as_json)


def _object(text: str) -> dict[str, Any]:
    try:
        found = strict_json.loads(text.encode())
    except ValueError as error:
        raise ConfigurationError(f"--conf: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError('--conf: must be an object such as {"region": "eu"}')
    return found
