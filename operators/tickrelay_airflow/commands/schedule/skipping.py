# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`skip-next`."""

from __future__ import annotations

from typing import Annotated

import typer

from tickrelay_airflow.commands.schedule._options import (
    AirflowUrl,
    AirflowUser,
    Name,
    Reason,
    desk_for,
    report,
)
from tickrelay_airflow.control.skipping import MOST, skip, unskip
from tickrelay_consumer.commands._options import AsJson, LedgerUrl


def skip_next(
    name: Name,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=MOST, help="So many ticks.")] = 1,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back every skip of a tick that is still ahead.")
    ] = False,
    reason: Reason = "",
    airflow: AirflowUrl = None,
    user: AirflowUser = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Leave out exactly the next ticks.

    Published already or not. Said twice it is the same: those left out already are among the next ones.
    """
    with desk_for(name, reason, (airflow, user), ledger) as desk:
        report(unskip(desk) if undo else skip(desk, count), as_json=as_json)
