# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What every verb works with: Airflow, the ledger, the schedule meant, who asks and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from tickrelay_airflow.control.api import AirflowApi
from tickrelay_airflow.control.errors import AirflowRefused
from tickrelay_airflow.control.records import Definition, Outcome
from tickrelay_messaging.errors import ConfigurationError, LedgerMismatch, TickrelayError
from tickrelay_messaging.ledger.base import Ledger

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Desk:
    """
    Attributes:
        open_ledger: returns the ledger, or raises if it can't be had.
        target: the schedule meant.
        by: who asks, for the audit trail.
        reason: why, for the audit trail.
    """

    airflow: AirflowApi
    open_ledger: Callable[[], Ledger]
    target: Definition
    by: str
    reason: str = ""

    @property
    def name(self) -> str:
        """The DAG's id."""
        return self.target.dag_id

    @property
    def path(self) -> str:
        """The DAG in Airflow's API."""
        return f"/api/v2/dags/{quote(self.name, safe='')}"

    def ledger(self) -> Ledger:
        """
        The ledger, once it is sure that consumers look into the same one.

        Raises:
            LedgerMismatch: Airflow's connection names another.
            ConfigurationError: Airflow can't read its connection, and so can't tell the schedule's name there.
            TickrelayError: it can't be opened.
        """
        ledger = self.open_ledger()
        if self.target.schedule.startswith("/"):
            raise ConfigurationError(
                "Airflow's API server can't read the connection with broker and ledger, so it doesn't know under "
                "which name the ledger has this schedule, and nothing was written; give it the connection that the "
                "tasks have ([tickrelay] conn_id)"
            )
        if self.target.ledger not in {None, ledger.id}:
            raise LedgerMismatch(
                f"this ledger is {ledger.id}, but Airflow's connection uses {self.target.ledger}, so nothing was "
                "written to it; set TICKRELAY_LEDGER to the URL that the connection has"
            )
        return ledger

    def note(self, what: str, detail: str = "") -> None:
        """Enter something in the audit trail that no room of the ledger enters itself."""
        about = " ".join(filter(None, (self.target.schedule, detail)))
        text = f"{about}: {self.reason}" if self.reason else about
        self.ledger().audit.enter(who=self.by, what=what, detail=text)

    def outcome(self, verb: str, text: str, *, changed: bool, **facts: Any) -> Outcome:
        """The answer to a verb; `text` continues behind the DAG's id."""
        return Outcome(dag_id=self.name, verb=verb, changed=changed, text=f"{self.name} {text}", facts=facts)

    def require_right(self) -> None:
        """
        See that who asks may edit the DAG, before anything is written to the ledger, which knows no rights.

        Raises:
            AirflowRefused: they may not.
        """
        if not self.target.editable:
            raise AirflowRefused(f"{self.name}: you may see this DAG and not edit it; nothing was changed")


def attempt(action: Callable[[], Found]) -> tuple[Found | None, TickrelayError | None]:
    """What it returned, or what was wrong."""
    try:
        return action(), None
    except TickrelayError as error:
        return None, error
