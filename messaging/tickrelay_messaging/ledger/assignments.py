# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The ledger's room for event-driven DAGs: which run has which message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

ASSIGNED_FOR = 86_400.0
"""Seconds, a day: a message is brought again when a triggerer is back, and somebody will have seen to that by then."""


class Assignments(ABC):
    """Which DAG run has which message, for messages that Airflow itself holds and may be brought more than once."""

    @abstractmethod
    def assign(self, scope: str, taker: str, messages: Sequence[tuple[str, str]]) -> list[bool]:
        """
        Give messages to the first taker that asks for them; one that asks again has them again. Durable on return.

        It's known for `ASSIGNED_FOR` seconds at least, and for twice as long at most.

        Args:
            scope: within it a message has one taker.
            messages: source and id of each.

        Returns:
            where True, it's this taker's.
        """
