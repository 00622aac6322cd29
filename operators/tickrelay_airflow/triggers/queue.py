# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`QueueTrigger`: a deferred `QueueSensor` in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID, Settings
from tickrelay_airflow.triggers.hub import Hub
from tickrelay_airflow.waiting.conditions import condition_of


class QueueTrigger(BaseTrigger):
    """
    Fires once, when a condition is fulfilled or can't ever be.

    It may run several times, here or in another triggerer: checking a condition again gives the same answer.

    Args:
        conn_id: the Airflow connection. Only its name is stored; its URLs may hold passwords.
        condition: what to wait for, as `Condition.as_dict` gives it.
        **others: what another version of this class has stored. A trigger that can't be made at all would
            block the triggerer's slot of its number for good, so nothing is refused here.
    """

    def __init__(
        self, conn_id: str = DEFAULT_CONN_ID, condition: dict[str, Any] | None = None, **others: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's
        self.conn_id = conn_id
        self.condition = condition or {}
        self.others = others

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, all plain JSON."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"conn_id": self.conn_id, "condition": self.condition},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: `{"status": "fulfilled", ...}` or `{"status": "error", "error": why}`."""
        try:
            condition = condition_of(self.condition)
            hub = Hub.shared(await Settings.aload(self.conn_id))
            outcome = await hub.until(condition)
        except Exception as error:  # noqa: BLE001 - the task fails with the reason, not with a lost trigger
            yield _event({"status": "error", "error": f"{type(error).__name__}: {error}"})
        else:
            yield _event({"status": "fulfilled", "outcome": outcome})


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)
