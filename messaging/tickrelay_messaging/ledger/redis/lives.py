# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What became of messages, for people: lives, statistics and consumers out of Redis."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from struct import unpack_from
from typing import Any

from tickrelay_messaging.ledger.base import History
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import DeadFilter, Owner, State
from tickrelay_messaging.ledger.redis.batches import counts_of
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.dead_letters import RedisDeadLetters
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.packing import CLAIMED, DEAD, ORPHAN, WAITING, Row, row_of
from tickrelay_messaging.ledger.redis.pages import Entry, Pages
from tickrelay_messaging.ledger.redis.scripts import COUNT_CLAIMED, FIND
from tickrelay_messaging.ledger.reports import ConsumerRecord, Event, Life, RouteStats

_STATES = {CLAIMED: State.CLAIMED, WAITING: State.WAITING, DEAD: State.DEAD, ORPHAN: State.WAITING}
CODES = {1: State.DONE, 2: State.EXPIRED, 3: State.REVOKED, 4: State.DISCARDED, 5: State.SKIPPED}
_COUNTERS = (
    "done",
    "retried",
    "died",
    "discarded",
    "expired",
    "revoked",
    "skipped",
    "duplicates",
    "crashes",
)
_CHUNK = 1_000


class RedisHistory(History):
    """See `base.History`."""

    def __init__(self, store: Store, names: Names, letters: RedisDeadLetters) -> None:
        self._store = store
        self._names = names
        self._letters = letters
        self._pages = Pages(store)

    def life(self, message_id: str) -> list[Life]:
        keys = self._keys(message_id)
        flat = [part for group, key in keys for part in (group, key)]
        answers = self._store.run(FIND, *flat) if flat else []
        living, marked = [], []
        for (_, key), row, mark in zip(keys, answers[::2], answers[1::2], strict=True):
            if row:
                living.append((key, row_of(row)))
            elif mark:
                marked.append((key, mark))
        lives = self._living(living)
        return lives + self._ended([self._entry(key, mark, message_id) for key, mark in marked])

    def lives(self, batch: str, *, after: int = 0, limit: int = 100) -> list[Life]:
        tags = self._names.tries(batch)
        living: list[tuple[bytes, Row]] = []
        if not after:
            rows = ((key, row_of(raw)) for key, raw in self._rows())
            living = sorted((one for one in rows if one[1].batch in tags), key=lambda one: one[1].message_id)[
                :limit
            ]
        pages = self._pages.of_batches(list(tags), after) if tags else []
        ended: list[tuple[bytes, Entry]] = []
        for at in range(0, len(pages), 20):
            for entries in self._pages.read(pages[at : at + 20]).values():
                ended += [(b"", one) for one in entries if one.number > after and one.batch in tags]
            if len(ended) >= limit:
                break
        return [*self._living(living), *self._ended(self._with_keys(ended[:limit]))]

    def stats(self) -> list[RouteStats]:
        routes = self._names.all_routes()
        ever = counts_of(self._store, "totals")
        _, claimed = self._store.run(COUNT_CLAIMED)
        now: Counter[int] = Counter()
        for route, number in zip(claimed[1::3], claimed[2::3], strict=True):
            now[route] += number
        (flat,) = self._store.read(("HGETALL", "orphans"))
        orphans = {int(n): int(c) for n, c in zip(flat[::2], flat[1::2], strict=True)}
        found = []
        for route, number in routes.items():
            waiting, oldest = self._waiting(number)
            found.append(
                RouteStats(
                    route=route,
                    claimed=now[number],
                    waiting=waiting + orphans.get(number, 0),
                    dead=ever.get((number, "dead"), 0),
                    oldest_waiting=oldest,
                    **{name: ever.get((number, name), 0) for name in _COUNTERS},
                )
            )
        return found

    def consumers(self) -> list[ConsumerRecord]:
        at, claimed = self._store.run(COUNT_CLAIMED)
        counts: Counter[int] = Counter()
        for owner, number in zip(claimed[::3], claimed[2::3], strict=True):
            counts[owner] += number
        owners, renewed = self._store.read(("HGETALL", "owners"), ("HGETALL", "renewed"))
        seen = {int(n): float(t) for n, t in zip(renewed[::2], renewed[1::2], strict=True)}
        known = {int(n): json.loads(told) for n, told in zip(owners[::2], owners[1::2], strict=True)}
        return [_consumer(n, told, seen[n], (counts[n], float(at))) for n, told in known.items() if n in seen]

    def _waiting(self, route: int) -> tuple[int, float | None]:
        keys = (f"due:{route}", f"alone:{route}")
        commands = [("ZCARD", key) for key in keys]
        heads = [("ZRANGE", key, 0, 0, "WITHSCORES") for key in keys]
        *numbers, one, other = self._store.read(*commands, *heads)
        firsts = [float(head[1]) for head in (one, other) if head]
        return sum(numbers), min(firsts, default=None)

    def _keys(self, message_id: str) -> list[tuple[int, bytes]]:
        """Group and key of everything the id may stand for: names are few, and messages many."""
        routes = list(self._names.all_routes())
        sources = self._names.all_of("source").values()
        found = {key_of(r, s, message_id): self._names.group(r.group) for r in routes for s in sources}
        for key, route in self._letters.keys_of(DeadFilter(message_id=message_id)):
            found[key] = self._names.group(route.group)
        return [(group, key) for key, group in found.items()]

    def _rows(self) -> Iterator[tuple[bytes, bytes]]:
        for where in ("claimed", "parked"):
            cursor = b"0"
            while True:
                ((cursor, flat),) = self._store.read(("HSCAN", where, cursor, "COUNT", _CHUNK))
                yield from zip(flat[::2], flat[1::2], strict=True)
                if cursor == b"0":
                    break

    def _entry(self, key: bytes, mark: bytes, message_id: str) -> tuple[bytes, Entry]:
        """Out of its page; if that is gone, what the mark itself tells."""
        (page,) = unpack_from("<I", mark, 1)
        code, bits = mark[0] & 15, mark[0] >> 4
        batch = int.from_bytes(mark[5:8], "little") if bits & 1 else 0
        for one in self._pages.read([page]).get(page, []):
            route = self._names.route_of(one.route)
            source = self._names.text_of("source", one.source)
            if one.message_id == message_id and key_of(route, source, message_id) == key:
                return key, _with(one, code, batch)
        unknown = Entry(
            number=0,
            message_id=message_id,
            source=0,
            route=0,
            batch=batch,
            code=code,
            attempts=0,
            ended_at=0.0,
            owner="",
        )
        return key, unknown

    def _with_keys(self, entries: Sequence[tuple[bytes, Entry]]) -> list[tuple[bytes, Entry]]:
        return [
            (
                key_of(
                    self._names.route_of(one.route), self._names.text_of("source", one.source), one.message_id
                ),
                one,
            )
            for _, one in entries
        ]

    def _living(self, rows: Sequence[tuple[bytes, Row]]) -> list[Life]:
        happened = self._events([key for key, _ in rows])
        return [
            self._life(row, (0, _STATES[row.state], row.attempt), [*happened[key], *_current(row)])
            for key, row in rows
        ]

    def _ended(self, entries: Sequence[tuple[bytes, Entry]]) -> list[Life]:
        happened = self._events([key for key, _ in entries])
        return [
            self._life(one, (one.number, CODES[one.code], one.attempts), _story(one, happened[key]))
            for key, one in entries
        ]

    def _events(self, keys: Sequence[bytes]) -> dict[bytes, list[Event]]:
        found = self._pages.failures(keys)
        return {key: [_failed(*one) for one in found.get(key, [])] for key in keys}

    def _life(self, one: Row | Entry, what: tuple[int, State, int], events: Sequence[Event]) -> Life:
        number, state, attempts = what
        batch = self._names.text_of("batch", one.batch) if one.batch else None
        return Life(
            number=number,
            message_id=one.message_id,
            source=self._names.text_of("source", one.source),
            route=self._names.route_of(one.route),
            state=state,
            attempts=attempts,
            batch=batch,
            events=tuple(sorted(events, key=lambda event: event.at)),
        )


def _with(one: Entry, code: int, batch: int) -> Entry:
    return replace(one, code=code, batch=batch or one.batch)


def _failed(head: Sequence[Any], failure: dict[str, str]) -> Event:
    at, attempt, what, _ = head
    return Event(float(at), what, f"attempt {attempt}: {failure['k']}: {failure['x']}")


def _current(row: Row) -> list[Event]:
    if row.state == CLAIMED:
        return [Event(row.fence / 1e6, "claimed", f"attempt {row.attempt}")]
    return [Event(row.due, "due", f"attempt {row.attempt}")] if row.state == WAITING else []


def _story(one: Entry, happened: Sequence[Event]) -> list[Event]:
    published = [Event(one.published_at, "published")] if one.published_at else []
    claimed = [Event(one.claimed_at, "claimed", f"attempt {one.attempts}")] if one.claimed_at else []
    return [*published, *happened, *claimed, Event(one.ended_at, CODES[one.code].value, f"by {one.owner}")]


def _consumer(number: int, told: dict[str, str], seen: float, rest: tuple[int, float]) -> ConsumerRecord:
    claims, now = rest
    lease = float(told["l"])
    return ConsumerRecord(
        owner=Owner(number, told["n"], lease),
        host=told["h"],
        pid=int(told["p"]),
        started_at=float(told["s"]),
        seen_at=seen,
        alive=seen + lease >= now,
        claims=claims,
    )
