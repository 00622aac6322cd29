# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Routes, groups, sources and batches by number: long names are stored once."""

from __future__ import annotations

import json

from tickrelay_messaging.ledger.records import Route
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.scripts import NAME

_MOST = 10_000
"""A foreign publisher may invent names without end; memory must not grow with them."""


class Names:
    """
    Numbers never change, so what was read once is kept.

    Attributes:
        memo: what `packing` made of batches and sources.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str], int] = {}
        self._routes: dict[Route, int] = {}
        self._by_number: dict[int, Route] = {}
        self._texts: dict[tuple[str, int], str] = {}
        self.memo: dict[tuple[str | None, str], bytes] = {}

    def route(self, route: Route) -> int:
        """Its number."""
        number = self._routes.get(route)
        if number is None:
            text = json.dumps([route.queue, route.group, route.handler])
            number = self._enter("route", text, str(self.group(route.group)))
            self._remember(route, number)
        return number

    def group(self, group: str) -> int:
        """Its number."""
        return self._number("group", group)

    def source(self, source: str) -> int:
        """Its number."""
        return self._number("source", source)

    def batch(self, tag: str | None) -> int:
        """The number of a batch's try, `<id>/<ordinal>`; 0 of none."""
        return self._number("batch", tag, tag.rpartition("/")[0]) if tag else 0

    def route_of(self, number: int) -> Route:
        """The route behind a number."""
        if number not in self._by_number:
            self.all_routes()
        return self._by_number[number]

    def all_routes(self) -> dict[Route, int]:
        """Every route any consumer ever enrolled for."""
        (flat,) = self._store.read(("HGETALL", "names:route"))
        for text, number in zip(flat[::2], flat[1::2], strict=True):
            self._remember(Route(*json.loads(text)), int(number))
        return dict(self._routes)

    def all_of(self, kind: str) -> dict[int, str]:
        """Every name of a kind (`source`, `group`, `batch`) by its number."""
        (flat,) = self._store.read(("HGETALL", f"numbers:{kind}"))
        return {int(number): text.decode() for number, text in zip(flat[::2], flat[1::2], strict=True)}

    def text_of(self, kind: str, number: int) -> str:
        """The name behind a number, empty if there is none."""
        text = self._texts.get((kind, number))
        if text is None:
            (found,) = self._store.read(("HGET", f"numbers:{kind}", number))
            if found is None:
                return ""
            if len(self._texts) > _MOST:
                self._texts.clear()
            text = self._texts[(kind, number)] = found.decode()
        return text

    def tries(self, batch: str) -> dict[int, str]:
        """Every try of a batch, or the one try named, by its number."""
        flat, one = self._store.read(("HGETALL", f"tries:{batch}"), ("HGET", "names:batch", batch))
        found = {int(number): tag.decode() for tag, number in zip(flat[::2], flat[1::2], strict=True)}
        return found | ({int(one): batch} if one else {})

    def current(self, queue: str, group: str | None = None) -> dict[Route, int]:
        """The handlers of a queue as they are now: those of the consumer that joined each group last."""
        routes = {r: n for r, n in self.all_routes().items() if r.queue == queue and group in (None, r.group)}
        (flat,) = self._store.read(("HGETALL", "seen"))
        seen = {int(number): float(at) for number, at in zip(flat[::2], flat[1::2], strict=True)}
        newest: dict[str, float] = {}
        for route, number in routes.items():
            newest[route.group] = max(seen.get(number, 0.0), newest.get(route.group, 0.0))
        return {r: n for r, n in routes.items() if seen.get(n, 0.0) == newest[r.group]}

    def _number(self, kind: str, text: str, common: str = "") -> int:
        number = self._known.get((kind, text))
        if number is None:
            number = self._enter(kind, text, "", common)
            if len(self._known) > _MOST:
                self._known.clear()
            self._known[(kind, text)] = number
        return number

    def _enter(self, kind: str, text: str, *more: str) -> int:
        return int(self._store.run(NAME, kind, text, *more, *[""] * (2 - len(more))))

    def _remember(self, route: Route, number: int) -> None:
        self._routes[route] = number
        self._by_number[number] = route
