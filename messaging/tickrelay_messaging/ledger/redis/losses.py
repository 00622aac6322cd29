# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a process knows to be in the ledger, to be told by name and number should the ledger get lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tickrelay_messaging.ledger.records import Route


class Losses:
    """Counts of what was last seen; approximate under many threads, which a report can bear."""

    def __init__(self) -> None:
        self._claimed: Counter[Route] = Counter()
        self._seen: dict[Route, tuple[int, int]] = {}

    def claimed(self, counts: Mapping[Route, int]) -> None:
        """So many claims more, or fewer."""
        self._claimed.update(counts)

    def saw(self, route: Route, waiting: int, dead: int) -> None:
        """So much waits, and so many dead letters are there."""
        self._seen[route] = waiting, dead

    def told(self) -> str:
        """In words, a handler at a time."""
        routes = [route for route, number in self._claimed.items() if number > 0]
        routes += [route for route, numbers in self._seen.items() if any(numbers) and route not in routes]
        if not routes:
            return "This process knows of nothing lost but what was remembered as done."
        return f"Lost, as last seen here: {'; '.join(map(self._of, routes))}."

    def _of(self, route: Route) -> str:
        waiting, dead = self._seen.get(route, (0, 0))
        claimed = max(0, self._claimed[route])
        name = f"{route.queue}/{route.group}/{route.handler}"
        return f"{name}: {waiting} waiting, {dead} dead letters, {claimed} claimed by this process"
