# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`pause` and `resume`."""

from __future__ import annotations

from tickrelay_airflow.commands.schedule._options import (
    AirflowUrl,
    AirflowUser,
    Name,
    Reason,
    desk_for,
    report,
)
from tickrelay_airflow.control import switching
from tickrelay_consumer.commands._options import AsJson, LedgerUrl


def pause_schedule(
    name: Name,
    reason: Reason = "",
    airflow: AirflowUrl = None,
    user: AirflowUser = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Stop a schedule at once.

    No more ticks are published, and those published already aren't carried out: revokes in the ledger every tick
    from now on, then pauses the DAG in Airflow. If one of the two doesn't answer the other is done all the same,
    and the error says what holds.
    """
    with desk_for(name, reason, (airflow, user), ledger, blind=True) as desk:
        report(switching.pause(desk), as_json=as_json)


def resume_schedule(
    name: Name,
    reason: Reason = "",
    airflow: AirflowUrl = None,
    user: AirflowUser = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Let a schedule go on. Ticks revoked meanwhile stay revoked."""
    with desk_for(name, reason, (airflow, user), ledger) as desk:
        report(switching.resume(desk), as_json=as_json)
