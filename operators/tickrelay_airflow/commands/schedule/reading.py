# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`list` and `show`."""

from __future__ import annotations

from tickrelay_airflow.commands.schedule import _views as views
from tickrelay_airflow.commands.schedule._options import (
    API,
    AirflowUrl,
    AirflowUser,
    Name,
    open_airflow,
    view_of,
)
from tickrelay_airflow.control.api import AirflowApi
from tickrelay_airflow.control.records import Schedules
from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import AsJson

_PAGE = 100
"""What Airflow's side gives at once."""


def list_schedules(airflow: AirflowUrl = None, user: AirflowUser = None, as_json: AsJson = False) -> None:
    """Every schedule with its next tick and state.

    In words, with what became of the last tick and the misfires of the last day. Those of DAGs with a CronSchedule
    that you may read.
    """
    with open_airflow(airflow, user) as api:
        found = _every(api)
    if as_json:
        return console.emit([one.model_dump(mode="json") for one in found.schedules])
    if found.problem:
        console.warn(f"without the ledger's part: {found.problem}")
    if not found.schedules:
        return console.note("no DAG with a CronSchedule, or none that you may read")
    views.print_schedules(found.schedules)


def show_schedule(
    name: Name, airflow: AirflowUrl = None, user: AirflowUser = None, as_json: AsJson = False
) -> None:
    """One schedule with its next five ticks.

    And the last runs, the revocations in force, and the misfires of the last day.
    """
    with open_airflow(airflow, user) as api:
        found = view_of(api, name)
    if as_json:
        return console.emit(found.model_dump(mode="json"))
    views.print_schedule(found)


def _every(api: AirflowApi) -> Schedules:
    """All pages as one."""
    found = Schedules.model_validate(api.get(API))
    for at in range(_PAGE, found.total, _PAGE):
        page = Schedules.model_validate(api.get(API, offset=at))
        found.schedules += page.schedules
        found.problem = found.problem or page.problem
    return found
