# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A DAG with ticks ahead, and what became of its ticks, in words."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.services.airflow_ha.effects import Tally

_DAG = """
    from datetime import datetime, timedelta
    from airflow.sdk import DAG
    from tickrelay_airflow.publish import PublishToQueueOperator
    from tickrelay_airflow.timetable import CronSchedule

    schedule = CronSchedule("@expression@", window="@window@s", lead="@lead@s")
    with DAG("@name@", schedule=schedule, start_date=datetime.fromisoformat("@start@"), catchup=True):
        data = {"tick": "{{ tick.timestamp() }}"}
        again = {"retries": 5, "retry_delay": timedelta(seconds=2)}  # a database that is away fails a task
        PublishToQueueOperator(task_id="publish", queue="@name@", ticks=True, data=data, **again)
"""


@dataclass(frozen=True, slots=True)
class Ahead:
    """
    Attributes:
        name: of the DAG, and of its queue.
        window: seconds of ticks that a run publishes.
        lead: seconds it does so before.
    """

    name: str
    expression: str
    window: int
    lead: int

    def write(self, folder: Path, first: datetime) -> datetime:
        """
        The DAG's file, with ticks from an instant on.

        Returns:
            the first tick that is surely one: windows lie on a grid.
        """
        start = first - timedelta(seconds=self.lead)
        text = textwrap.dedent(_DAG).replace("@start@", start.isoformat())
        for name in ("name", "expression", "window", "lead"):
            text = text.replace(f"@{name}@", str(getattr(self, name)))
        (folder / f"{self.name}.py").write_text(text)
        return datetime.fromtimestamp(-(-first.timestamp() // self.window) * self.window, UTC)


def words(found: Tally) -> str:
    """How many, and how late."""
    late = sorted(found.late)
    shares = (late[len(late) // 2], late[int(len(late) * 0.99)], late[-1])
    return f"{found.expected} ticks ahead: late by {' / '.join(f'{one * 1000:.1f}' for one in shares)} ms (P50/P99/max)"
