# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Routes and sources by number: long names are stored once, and every message's row carries small integers."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Table, insert, select, update

from tickrelay_messaging.ledger.records import Route
from tickrelay_messaging.ledger.sql.buckets import open_first
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import routes, sources


class Names:
    """Numbers never change, so what was read once is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._routes: dict[Route, int] = {}
        self._sources: dict[str, int] = {}
        self._by_number: dict[int, Route] = {}

    def route(self, route: Route) -> int:
        """Its number; made in a transaction of its own if new, so call this outside one."""
        number = self._routes.get(route)
        return number if number is not None else self._enter_route(route)

    def source(self, source: str) -> int:
        """Its number; made in a transaction of its own if new, so call this outside one."""
        number = self._sources.get(source)
        return number if number is not None else self._enter_source(source)

    def route_of(self, number: int) -> Route:
        """The route behind a number."""
        if number not in self._by_number:
            self.all_routes()
        return self._by_number[number]

    def all_routes(self) -> dict[Route, int]:
        """Every route any consumer ever enrolled for."""
        with self._database.read() as connection:
            for row in connection.execute(select(routes)):
                self._remember(Route(row.queue, row.group_name, row.handler), row.number)
        return dict(self._routes)

    def sources_like(self, connection: Connection) -> list[str]:
        """Every source ever seen."""
        return list(connection.execute(select(sources.c.source)).scalars())

    def see(self, seen: Iterable[Route], now: float) -> None:
        """A consumer with these handlers joins its groups."""
        numbers = [self.route(route) for route in seen]
        with self._database.write() as connection:
            connection.execute(update(routes).where(routes.c.number.in_(numbers)).values(seen_at=now))

    def current(self, queue: str, group: str | None = None) -> dict[Route, int]:
        """
        The handlers of a queue as they are now: those of the consumer that joined each group last.

        Consumers of one group share its messages, so they have the same handlers; one that was renamed or removed is
        no longer waited for.
        """
        query = select(routes).where(routes.c.queue == queue)
        with self._database.read() as connection:
            found = connection.execute(
                query if group is None else query.where(routes.c.group_name == group)
            ).all()
        newest: dict[str, float] = {}
        for row in found:
            newest[row.group_name] = max(row.seen_at, newest.get(row.group_name, 0.0))
        return {
            Route(row.queue, row.group_name, row.handler): row.number
            for row in found
            if row.seen_at == newest[row.group_name]
        }

    def _enter_route(self, route: Route) -> int:
        names = {"queue": route.queue, "group_name": route.group, "handler": route.handler}
        with self._database.write() as connection:
            number = _enter(connection, routes, names, {"seen_at": 0.0})
            open_first(connection, route.group, self._database.clock())
        self._remember(route, number)
        return number

    def _enter_source(self, source: str) -> int:
        if len(self._sources) > _MOST_SOURCES:
            self._sources.clear()
        with self._database.write() as connection:
            number = _enter(connection, sources, {"source": source}, {})
        return self._sources.setdefault(source, number)

    def _remember(self, route: Route, number: int) -> None:
        self._routes[route] = number
        self._by_number[number] = route


def _enter(connection: Connection, table: Table, names: dict[str, str], rest: dict[str, float]) -> int:
    found = select(table.c.number).where(*(table.c[name] == value for name, value in names.items()))
    number = connection.execute(found).scalar()
    if number is None:
        key = connection.execute(insert(table).values(**names, **rest)).inserted_primary_key
        number = key[0] if key else None
    assert isinstance(number, int)
    return number


_MOST_SOURCES = 10_000
"""A foreign publisher may invent sources without end; memory must not grow with them."""
