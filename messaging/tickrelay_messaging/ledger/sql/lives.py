# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What became of messages, for people: lives, statistics and consumers out of a SQL ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

from tickrelay_messaging.ledger.base import History
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import Owner, Route, State
from tickrelay_messaging.ledger.reports import ConsumerRecord, Event, Life, RouteStats
from tickrelay_messaging.ledger.sql import tallies
from tickrelay_messaging.ledger.sql.buckets import Bucket, live
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.endings import CODES
from tickrelay_messaging.ledger.sql.known import find_done
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.tables import (
    CLAIMED,
    DEAD,
    ORPHAN,
    WAITING,
    active,
    dead,
    failures,
    owners,
    sources,
)
from tickrelay_messaging.ledger.sql.tables_buckets import history_table

_STATES = {CLAIMED: State.CLAIMED, WAITING: State.WAITING, DEAD: State.DEAD, ORPHAN: State.WAITING}
_ENDS = ("done", "discarded", "expired", "revoked", "skipped")
_COUNTERS = (*_ENDS, "retried", "died", "duplicates", "crashes")
_CHUNK = 4_096


class SqlHistory(History):
    """See `base.History`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def life(self, message_id: str) -> list[Life]:
        routes = self._names.all_routes()
        with self._database.read() as connection:
            named, mismatched = self._keys(connection, routes, message_id)
            ended = _ended_rows(connection, {**named, **mismatched})
            return self._lives(connection, _active_rows(connection, [*named, *mismatched]), ended)

    def lives(self, batch: str, *, after: int = 0, limit: int = 100) -> list[Life]:
        self._names.all_routes()
        open_ones = select(active).where(_of_batch(active, batch)).order_by(active.c.message_id).limit(limit)
        with self._database.read() as connection:
            living = connection.execute(open_ones).all() if not after else ()
            return self._lives(connection, living, _ended_of_batch(connection, batch, after, limit))

    def stats(self) -> list[RouteStats]:
        routes = self._names.all_routes()
        now = select(active.c.route, active.c.state, func.count(), func.min(active.c.due))
        with self._database.read() as connection:
            present = connection.execute(now.group_by(active.c.route, active.c.state)).all()
            ever = tallies.totals(connection)
        return [
            _stats(route, [row for row in present if row[0] == number], ever.get(number, {}))
            for route, number in routes.items()
        ]

    def consumers(self) -> list[ConsumerRecord]:
        claims = (
            select(active.c.owner, func.count()).where(active.c.state == CLAIMED).group_by(active.c.owner)
        )
        with self._database.read() as connection:
            held = {row[0]: row[1] for row in connection.execute(claims)}
            found = connection.execute(select(owners)).all()
        return [self._consumer(row, held.get(row.number, 0)) for row in found]

    def _consumer(self, row: Any, claims: int) -> ConsumerRecord:
        in_lease = row.renewed_at + row.lease >= self._database.clock()
        return ConsumerRecord(
            owner=Owner(row.number, row.name, row.lease),
            host=row.host,
            pid=row.pid,
            started_at=row.started_at,
            seen_at=row.renewed_at,
            alive=in_lease and self._database.is_alive(row.number) is not False,
            claims=claims,
        )

    def _keys(
        self, connection: Connection, routes: Mapping[Route, int], message_id: str
    ) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """Every key the id may have, with its route: no index by id is kept, as names are few and messages many."""
        sources = self._names.sources_like(connection)
        named = {
            key_of(route, source, message_id): number
            for route, number in routes.items()
            for source in sources
        }
        query = select(dead.c.key, dead.c.route).where(dead.c.message_id == message_id)
        return named, {row.key: row.route for row in connection.execute(query)}

    def _lives(self, connection: Connection, living: Sequence[Any], ended: Sequence[Any]) -> list[Life]:
        happened = _failures(connection, [row.key for row in (*living, *ended)])
        named = {row.number: row.source for row in connection.execute(select(sources))}
        return [
            *(self._living(row, named, happened.get(row.key, [])) for row in living),
            *(self._ended(row, named, happened.get(row.key, [])) for row in ended),
        ]

    def _living(self, row: Any, named: dict[int, str], events: list[Event]) -> Life:
        state = _STATES[row.state]
        current = (
            [Event(row.fence / 1e6, "claimed", f"attempt {row.attempt}")] if state is State.CLAIMED else []
        )
        if row.state == WAITING:
            current = [Event(row.due, "due", f"attempt {row.attempt}")]
        return self._life(row, (0, state, row.attempt), named, [*events, *current])

    def _ended(self, row: Any, named: dict[int, str], events: list[Event]) -> Life:
        published = [Event(row.published_at, "published")] if row.published_at else []
        claimed = [Event(row.claimed_at, "claimed", f"attempt {row.attempts}")] if row.claimed_at else []
        last = Event(row.ended_at, CODES[row.state].value, f"by {row.owner}")
        return self._life(
            row, (row.number, CODES[row.state], row.attempts), named, [*published, *events, *claimed, last]
        )

    def _life(
        self, row: Any, what: tuple[int, State, int], named: dict[int, str], events: list[Event]
    ) -> Life:
        number, state, attempts = what
        return Life(
            number=number,
            message_id=row.message_id,
            source=named.get(row.source, ""),
            route=self._names.route_of(row.route),
            state=state,
            attempts=attempts,
            batch=row.batch,
            events=tuple(sorted(events, key=lambda event: event.at)),
        )


def _of_batch(table: Table, batch: str) -> ColumnElement[bool]:
    """Rows of every try of a batch, or of the one try named."""
    # A range rather than LIKE, which can't use the index: "0" comes right behind "/".
    return or_(table.c.batch == batch, and_(table.c.batch > batch + "/", table.c.batch < batch + "0"))


def _chunks(keys: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))


def _active_rows(connection: Connection, keys: Sequence[bytes]) -> list[Any]:
    return [
        row
        for chunk in _chunks(keys)
        for row in connection.execute(select(active).where(active.c.key.in_(chunk)))
    ]


def _ended_rows(connection: Connection, keys: Mapping[bytes, int]) -> list[Any]:
    """What the history has of these keys, by their routes."""
    there = live(connection)
    numbers: dict[Bucket, list[int]] = {}
    for route in set(keys.values()):
        mine = [key for key, of in keys.items() if of == route]
        for mark in find_done(connection, there, route, mine).values():
            if bucket := there.history_of(mark.number):
                numbers.setdefault(bucket, []).append(mark.number)
    found: list[Any] = []
    for bucket, given in numbers.items():
        history = history_table(bucket.number)
        found += connection.execute(select(history).where(history.c.number.in_(given)))
    return found


def _ended_of_batch(connection: Connection, batch: str, after: int, limit: int) -> list[Any]:
    """In the order of their ends, from bucket to bucket."""
    found: list[Any] = []
    for bucket in reversed(live(connection).history):
        history = history_table(bucket.number)
        query = select(history).where(_of_batch(history, batch), history.c.number > after)
        found += connection.execute(query.order_by(history.c.number).limit(limit - len(found)))
    return found


def _failures(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, list[Event]]:
    found: dict[bytes, list[Event]] = {}
    for chunk in _chunks(keys):
        query = select(failures).where(failures.c.key.in_(chunk)).order_by(failures.c.number)
        for row in connection.execute(query):
            found.setdefault(row.key, []).append(
                Event(row.at, row.what, f"attempt {row.attempt}: {row.kind}: {row.text}")
            )
    return found


def _stats(route: Route, present: Sequence[Any], ever: Mapping[str, int]) -> RouteStats:
    count = {_STATES[row[1]]: 0 for row in present}
    for _, state, number, _ in present:
        count[_STATES[state]] += number
    oldest = min((row[3] for row in present if row[1] == WAITING and row[3] is not None), default=None)
    return RouteStats(
        route=route,
        claimed=count.get(State.CLAIMED, 0),
        waiting=count.get(State.WAITING, 0),
        dead=count.get(State.DEAD, 0),
        oldest_waiting=oldest,
        **{name: ever.get(name, 0) for name in _COUNTERS},
    )
