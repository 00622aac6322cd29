# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Claiming what was just received: who may carry a message out, decided in one transaction for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.keys import key_of, other_payload_key
from tickrelay_messaging.ledger.records import Claim, Failure, Outcome, Owner, Route, State
from tickrelay_messaging.ledger.sql import rows, tallies
from tickrelay_messaging.ledger.sql.database import Database, Topic
from tickrelay_messaging.ledger.sql.endings import CODE_OF, CODES, Ending, Endings
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.tables import CLAIMED, DEAD, ORPHAN, WAITING
from tickrelay_messaging.message import Message

_DONE_TABLE = "(SELECT d.key, h.digest, h.batch, h.number, h.state FROM done d JOIN history h ON h.number = d.history) h"


def check_owner(connection: Connection, owner: Owner) -> None:
    """
    Raises:
        ClaimLost: the owner was taken for dead; what it holds isn't its own any more.
    """
    if rows.cursor(connection).execute("SELECT 1 FROM owners WHERE number = ?", (owner.number,)).fetchone() is None:
        raise ClaimLost(f"consumer {owner.name} was taken for dead, as it was silent for over {owner.lease:g} s")


@dataclass(slots=True)
class _Batch:
    """What one call gathers, to be written with one statement a kind."""

    route: Route
    number: int
    owner: Owner
    sources: dict[str, int]
    endings: Endings
    claims: list[Claim] = field(default_factory=list)
    active: list[tuple[Any, ...]] = field(default_factory=list)
    payloads: list[tuple[Any, ...]] = field(default_factory=list)
    held: list[tuple[Any, ...]] = field(default_factory=list)
    parked_orphans: list[tuple[Any, ...]] = field(default_factory=list)
    taken: set[bytes] = field(default_factory=set)

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
        with self._database.write() as connection:
            check_owner(connection, owner)
            batch = _Batch(route, number, owner, sources, Endings(self._database.clock(), owner.name))
            self._decide(connection, batch, list(zip(keys, messages, strict=True)))
            self._write(connection, batch)
        if batch.payloads:
            self._database.ring(Topic.WORK)
        return batch.claims

    def _decide(self, connection: Connection, batch: _Batch, asked: Sequence[tuple[bytes, Message]]) -> None:
        keys = [key for key, _ in asked]
        done = rows.select_by_key(connection, "digest, batch, number, state", _DONE_TABLE, keys)
        known = rows.select_by_key(connection, "state, digest, batch", "active", keys)
        for key, message in asked:
            if key in done:
                self._answer_done(connection, batch, message, done[key])
            elif key in known:
                self._answer_known(connection, batch, message, known[key])
            elif key in batch.taken:
                batch.answer(Outcome.PARKED, key, message)
            else:
                self._answer_new(batch, key, message)

    def _answer_new(self, batch: _Batch, key: bytes, message: Message) -> None:
        batch.taken.add(key)
        now = batch.endings.now
        if message.expires is not None and message.expires.timestamp() <= now:
            batch.endings.end(batch.ending(key, message), CODE_OF[State.EXPIRED])
            batch.answer(Outcome.EXPIRED, key, message)
            return
        due = message.deliver_at.timestamp() if message.deliver_at is not None else 0.0
        extensions = message.extensions
        tail = (message.id, batch.sources[message.source], extensions.get("batchid"), extensions.get("digest"))
        if due > now:
            batch.active.append((key, batch.number, WAITING, None, 0, 1, due, *tail))
            batch.payloads.append(rows.payload_row(key, message))
            batch.answer(Outcome.PARKED, key, message)
            return
        fence = int(now * 1e6)
        batch.active.append((key, batch.number, CLAIMED, batch.owner.number, fence, 0, None, *tail))
        batch.answer(Outcome.RUN, key, message, fence)

    def _answer_done(self, connection: Connection, batch: _Batch, message: Message, row: Any) -> None:
        key, digest, old_batch, number, state = row
        if self._is_other_payload(connection, batch, message, (key, digest)):
            return
        new_batch = message.extensions.get("batchid")
        if is_newer_try(new_batch, old_batch):
            rows.cursor(connection).execute("UPDATE history SET batch = ? WHERE number = ?", (new_batch, number))
            tallies.move(batch.endings.counts, old_batch, new_batch, (batch.number, CODES[state].value))
        batch.endings.counts[(None, batch.number, "duplicates")] += 1
        batch.answer(Outcome.DUPLICATE, key, message)

    def _answer_known(self, connection: Connection, batch: _Batch, message: Message, row: Any) -> None:
        key, state, digest, old_batch = row
        if self._is_other_payload(connection, batch, message, (key, digest)):
            return
        new_batch = message.extensions.get("batchid")
        if is_newer_try(new_batch, old_batch):
            rows.cursor(connection).execute("UPDATE active SET batch = ? WHERE key = ?", (new_batch, key))
            if state == DEAD:
                tallies.move(batch.endings.counts, old_batch, new_batch, (batch.number, "dead"))
        if state == CLAIMED:
            batch.payloads.append(rows.payload_row(key, message))
            batch.held.append((key,))
        elif state == ORPHAN:
            batch.payloads.append(rows.payload_row(key, message))
            batch.parked_orphans.append((batch.endings.now, key))
        batch.answer(Outcome.PARKED, key, message)

    def _is_other_payload(
        self, connection: Connection, batch: _Batch, message: Message, known: tuple[bytes, str | None]
    ) -> bool:
        """The same id with another payload is somebody's mistake, never a duplicate to be dropped in silence."""
        (key, known_digest), digest = known, message.extensions.get("digest")
        if not _differ(digest, known_digest):
            return False
        other = other_payload_key(key, str(digest))
        batch.answer(Outcome.MISMATCH, other, message)
        if other not in batch.taken and not _is_known(connection, other):
            text = f"id {message.id} came before with another payload; give different payloads different ids"
            batch.endings.die(batch.ending(other, message), "mismatch", Failure("DigestMismatch", text))
        batch.taken.add(other)
        return True

    def _write(self, connection: Connection, batch: _Batch) -> None:
        rows.run_many(connection, rows.INSERT_ACTIVE, batch.active)
        rows.run_many(connection, rows.PUT_PAYLOAD, batch.payloads)
        rows.run_many(connection, "UPDATE active SET held = 1 WHERE key = ?", batch.held)
        rows.run_many(
            connection,
            f"UPDATE active SET state = {WAITING}, held = 1, due = ? WHERE key = ? AND state = {ORPHAN}",  # noqa: S608
            batch.parked_orphans,
        )
        batch.endings.write(connection)


def is_newer_try(new: str | None, old: str | None) -> bool:
    """Whether a batch id (`<id>/<ordinal>`) names a later try of the same batch, or the first one known."""
    if new is None or new == old:
        return False
    if old is None:
        return True
    (new_id, _, new_try), (old_id, _, old_try) = new.rpartition("/"), old.rpartition("/")
    return new_id == old_id and new_try.isdigit() and old_try.isdigit() and int(new_try) > int(old_try)


def _differ(digest: str | None, known: str | None) -> bool:
    """Whether two digests contradict each other; under different key ids they say nothing."""
    if not digest or not known or digest == known:
        return False
    return digest.partition(":")[0] == known.partition(":")[0]


def _is_known(connection: Connection, key: bytes) -> bool:
    return any(rows.select_by_key(connection, "1", table, [key]) for table in ("active", "done"))
