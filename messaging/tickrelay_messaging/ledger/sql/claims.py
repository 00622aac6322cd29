# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Claiming what was just received: who may carry a message out, decided in one transaction for a whole batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.keys import key_of, other_payload_key
from tickrelay_messaging.ledger.records import Claim, Failure, Outcome, Owner, Route, State
from tickrelay_messaging.ledger.sql import rows, tallies
from tickrelay_messaging.ledger.sql.bulk import select_by_key, update_rows
from tickrelay_messaging.ledger.sql.database import Database, Topic
from tickrelay_messaging.ledger.sql.endings import CODE_OF, CODES, Ending, Endings
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.tables import CLAIMED, DEAD, FENCE, ORPHAN, WAITING, active
from tickrelay_messaging.message import Message

_HIGHEST_GONE = "(SELECT CAST(value AS BIGINT) FROM meta WHERE name = ?)"
_CHECK_OWNER = f"SELECT coalesce({_HIGHEST_GONE}, 0) FROM owners WHERE number = ?"  # noqa: S608 - no data in it
_HOLD = update_rows(active, "held = 1", "")
_PARK_ORPHAN = update_rows(active, f"state = {WAITING}, held = 1, due = ?", "due", where=f"state = {ORPHAN}")
_DONE_TABLE = "(SELECT d.key, digest, batch, number, state FROM done d JOIN history ON number = d.history) h"


def check_owner(connection: Connection, owner: Owner) -> int:
    """
    Returns:
        the highest fence whose row is gone; a new row's must be above it.

    Raises:
        ClaimLost: the owner was taken for dead; what it holds isn't its own any more.
    """
    found = rows.cursor(connection).execute(_CHECK_OWNER, (FENCE, owner.number)).fetchone()
    if found is None:
        raise ClaimLost(
            f"consumer {owner.name} was taken for dead, as it was silent for over {owner.lease:g} s"
        )
    return int(found[0])


@dataclass(slots=True)
class _Batch:
    """What one call gathers, to be written with one statement a kind."""

    route: Route
    number: int
    owner: Owner
    sources: dict[str, int]
    endings: Endings
    fence: int
    claims: list[Claim] = field(default_factory=list)
    active: list[tuple[Any, ...]] = field(default_factory=list)
    payloads: list[tuple[Any, ...]] = field(default_factory=list)
    held: list[tuple[Any, ...]] = field(default_factory=list)
    parked_orphans: list[tuple[Any, ...]] = field(default_factory=list)

    def answer(self, outcome: Outcome, key: bytes, message: Message, fence: int = 0) -> None:
        self.claims.append(Claim(outcome, self.route, key, message, fence))

    def ending(self, key: bytes, message: Message) -> Ending:
        batch = message.extensions.get("batchid")
        return Ending(key, self.number, self.sources[message.source], message, batch=batch)


class Claims:
    """See `Ledger.claim`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    def claim(self, owner: Owner, route: Route, messages: Sequence[Message]) -> list[Claim]:
        """See `Ledger.claim`."""
        if not messages:
            return []
        keys = [key_of(route, message.source, message.id) for message in messages]
        sources = {message.source: self._names.source(message.source) for message in messages}
        number = self._names.route(route)
        answers: dict[int, Claim] = {}
        batches: list[_Batch] = []
        with self._database.write() as connection:
            fence = check_owner(connection, owner) + 1
            now = self._database.clock()
            for places in _rounds(keys):
                endings = Endings(now, owner.name)
                batch = _Batch(route, number, owner, sources, endings, max(fence, int(now * 1e6)))
                self._decide(connection, batch, [(keys[place], messages[place]) for place in places])
                self._write(connection, batch)
                answers.update(zip(places, batch.claims, strict=True))
                batches.append(batch)
        self._ring(batches)
        return [answers[place] for place in range(len(messages))]

    def _ring(self, batches: Sequence[_Batch]) -> None:
        if any(batch.payloads for batch in batches):
            self._database.ring(Topic.WORK)
        if any(batch.endings.concern_batches for batch in batches):
            self._database.ring(Topic.OUTCOMES)

    def _decide(self, connection: Connection, batch: _Batch, asked: Sequence[tuple[bytes, Message]]) -> None:
        keys = [key for key, _ in asked]
        done = _find_done(connection, keys)
        known = _find_active(connection, keys)
        for key, message in asked:
            if key in done:
                self._answer_done(connection, batch, message, done[key])
            elif key in known:
                self._answer_known(connection, batch, message, known[key])
            else:
                self._answer_new(batch, key, message)

    def _answer_new(self, batch: _Batch, key: bytes, message: Message) -> None:
        now = batch.endings.now
        if message.expires is not None and message.expires.timestamp() <= now:
            batch.endings.end(batch.ending(key, message), CODE_OF[State.EXPIRED])
            batch.answer(Outcome.EXPIRED, key, message)
            return
        due = message.deliver_at.timestamp() if message.deliver_at is not None else 0.0
        extensions = message.extensions
        tail = (
            message.id,
            batch.sources[message.source],
            extensions.get("batchid"),
            extensions.get("digest"),
        )
        if due > now:
            batch.active.append((key, batch.number, WAITING, None, 0, 1, due, *tail))
            batch.payloads.append(rows.payload_row(key, message))
            batch.answer(Outcome.PARKED, key, message)
            return
        batch.active.append((key, batch.number, CLAIMED, batch.owner.number, batch.fence, 0, None, *tail))
        batch.answer(Outcome.RUN, key, message, batch.fence)

    def _answer_done(self, connection: Connection, batch: _Batch, message: Message, row: Any) -> None:
        key, digest = row[:2]
        if _differ(message.extensions.get("digest"), digest):
            self._answer_other_payload(connection, batch, key, message)
            return
        _count_for_newest_try(connection, batch, message, done=row)
        batch.endings.counts[(None, batch.number, "duplicates")] += 1
        batch.answer(Outcome.DUPLICATE, key, message)

    def _answer_known(self, connection: Connection, batch: _Batch, message: Message, row: Any) -> None:
        key, digest, _, state = row
        if _differ(message.extensions.get("digest"), digest):
            self._answer_other_payload(connection, batch, key, message)
            return
        _count_for_newest_try(connection, batch, message, active=row)
        if state == CLAIMED:
            batch.payloads.append(rows.payload_row(key, message))
            batch.held.append((key,))
        elif state == ORPHAN:
            batch.payloads.append(rows.payload_row(key, message))
            batch.parked_orphans.append((batch.endings.now, key))
        batch.answer(Outcome.PARKED, key, message)

    def _answer_other_payload(
        self, connection: Connection, batch: _Batch, key: bytes, message: Message
    ) -> None:
        """The same id with another payload is somebody's mistake, never a duplicate to be dropped in silence."""
        other = other_payload_key(key, message.extensions["digest"])
        batch.answer(Outcome.MISMATCH, other, message)
        done, active = (
            _find_done(connection, [other]).get(other),
            _find_active(connection, [other]).get(other),
        )
        if done or active:
            _count_for_newest_try(connection, batch, message, done=done, active=active)
            return
        text = f"id {message.id} came before with another payload; give different payloads different ids"
        batch.endings.die(batch.ending(other, message), "mismatch", Failure("DigestMismatch", text))

    def _write(self, connection: Connection, batch: _Batch) -> None:
        rows.INSERT_ACTIVE.run(connection, batch.active)
        rows.PUT_PAYLOAD.run(connection, batch.payloads)
        _HOLD.run(connection, batch.held)
        _PARK_ORPHAN.run(connection, batch.parked_orphans)
        batch.endings.write(connection)


def _rounds(keys: Sequence[bytes]) -> list[Sequence[int]]:
    """
    The places of all keys, in rounds that hold no key twice.

    A message that comes twice in one call is decided twice, one after the other: the second may belong to a later try
    of its publisher, or have another payload.
    """
    if len(set(keys)) == len(keys):
        return [range(len(keys))]
    rounds: list[list[int]] = []
    times: Counter[bytes] = Counter()
    for place, key in enumerate(keys):
        if times[key] == len(rounds):
            rounds.append([])
        rounds[times[key]].append(place)
        times[key] += 1
    return list(rounds)


def _find_done(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Any]:
    """(key, digest, batch, state, number in the history) by key."""
    return select_by_key(connection, "digest, batch, state, number", _DONE_TABLE, keys)


def _find_active(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Any]:
    """(key, digest, batch, state) by key."""
    return select_by_key(connection, "digest, batch, state", "active", keys)


def _count_for_newest_try(
    connection: Connection, batch: _Batch, message: Message, *, done: Any = None, active: Any = None
) -> None:
    """A message that a later try of its publisher brings again counts for that one."""
    key, _, old, state = (done or active)[:4]
    new = message.extensions.get("batchid")
    if not is_newer_try(new, old):
        return
    if done:
        rows.cursor(connection).execute("UPDATE history SET batch = ? WHERE number = ?", (new, done[4]))
        tallies.move(batch.endings.counts, old, new, (batch.number, CODES[state].value))
        return
    rows.cursor(connection).execute("UPDATE active SET batch = ? WHERE key = ?", (new, key))
    if state == DEAD:
        tallies.move(batch.endings.counts, old, new, (batch.number, "dead"))


def is_newer_try(new: str | None, old: str | None) -> bool:
    """Whether a batch id (`<id>/<ordinal>`) names a later try of the same batch, or the first one known."""
    if new is None or new == old:
        return False
    if old is None:
        return True
    (new_id, _, new_try), (old_id, _, old_try) = new.rpartition("/"), old.rpartition("/")
    return new_id == old_id and new_try.isdecimal() and old_try.isdecimal() and int(new_try) > int(old_try)


def _differ(digest: str | None, known: str | None) -> bool:
    """Whether two digests contradict each other; under different key ids they say nothing."""
    if not digest or not known or digest == known:
        return False
    return digest.partition(":")[0] == known.partition(":")[0]
