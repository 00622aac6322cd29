# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A manual run, now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tickrelay_airflow.control.desk import Desk, attempt
from tickrelay_airflow.control.errors import HalfDone, UnknownSchedule
from tickrelay_airflow.control.records import Outcome


def trigger(desk: Desk, conf: Mapping[str, Any], run_id: str | None = None) -> Outcome:
    """
    Have Airflow make a run that belongs to no tick.

    Args:
        run_id: names the run, so that asking again makes no second one.

    Raises:
        HalfDone: it runs, and the audit trail doesn't know.
        AirflowRefused: Airflow doesn't make one.
    """
    body = {"logical_date": None, "conf": dict(conf), "note": desk.reason or None}
    if run_id is not None:
        body["dag_run_id"] = run_id
        if _is_there(desk, run_id):
            return desk.outcome("trigger", f"has a run {run_id} already", changed=False, run_id=run_id)
    name = str(desk.airflow.post(f"{desk.path}/dagRuns", body)["dag_run_id"])
    waits = "; it is paused in Airflow, so the run waits for `resume`" if desk.target.paused else ""
    text = f"runs as {name}{waits}"
    _, error = attempt(lambda: desk.note("schedule triggered", name))
    if error:
        raise HalfDone(
            f"{desk.name} {text}; but only Airflow's own audit log has it, the ledger's trail doesn't: {error}"
        ) from error
    return desk.outcome("trigger", text, changed=True, run_id=name)


def _is_there(desk: Desk, run_id: str) -> bool:
    """Raises what keeps Airflow from answering, but for the run's not being there."""
    try:
        desk.airflow.get(f"{desk.path}/dagRuns/{quote(run_id, safe='')}")
    except UnknownSchedule:
        return False
    return True
