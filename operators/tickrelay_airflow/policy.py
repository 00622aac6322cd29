# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Airflow's policy hook (entry point `airflow.policy`): a warning for cron expressions that stock Airflow misreads.

Loaded with Airflow's settings in every process, so it imports nothing but the hook's mark.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from airflow.policies import hookimpl

log = logging.getLogger(__name__)

_FIELDS_WITH_SECONDS = 6
_PARTS = ("timetable", "timetables", "_timetables")
"""Where a timetable that is made of others keeps them."""


@hookimpl
def dag_policy(dag: Any) -> None:
    """
    Warn where a DAG gives six or seven fields to one of Airflow's own timetables: they read the second LAST.

    It changes and stops nothing, and never raises: a policy that fails takes the DAG away.
    """
    for expression in sorted(set(_expressions(getattr(dag, "timetable", None)))):
        if len(expression.split()) >= _FIELDS_WITH_SECONDS:
            log.warning(
                "DAG %s: Airflow's own timetables read the sixth field of %r as the second, and the first as the "
                'minute; with the second first, as elsewhere, write schedule=CronSchedule("%s"), '
                "from tickrelay_airflow.timetable",
                getattr(dag, "dag_id", "?"), expression, expression,
            )  # fmt: skip


def _expressions(timetable: object, depth: int = 3) -> Iterator[str]:
    """The cron expressions of a timetable of Airflow's own, and of those it is made of."""
    if timetable is None or depth == 0 or not type(timetable).__module__.startswith("airflow."):
        return
    for name in ("expression", "_expression"):
        found = getattr(timetable, name, None)
        if isinstance(found, str):
            yield found
    for name in _PARTS:
        parts = getattr(timetable, name, None)
        for part in parts if isinstance(parts, list | tuple) else (parts,):
            yield from _expressions(part, depth - 1)
