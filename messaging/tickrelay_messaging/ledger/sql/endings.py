# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How messages end: done, expired, revoked, discarded or dead. Gathered first, then written with a statement a kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.ledger.records import Failure, State
from tickrelay_messaging.ledger.sql import rows, tallies
from tickrelay_messaging.ledger.sql.buckets import Bucket, extend, last_number, live
from tickrelay_messaging.ledger.sql.bulk import insert_rows
from tickrelay_messaging.ledger.sql.known import digest_of, tag_of
from tickrelay_messaging.ledger.sql.tables import DEAD, dead
from tickrelay_messaging.ledger.sql.tallies import Tally
from tickrelay_messaging.message import Message

CODES = {1: State.DONE, 2: State.EXPIRED, 3: State.REVOKED, 4: State.DISCARDED, 5: State.SKIPPED}
"""What the integers in a mark's and a history's `state` mean."""
CODE_OF = {state: code for code, state in CODES.items()}
_DONE = CODE_OF[State.DONE]

_INSERT_DEAD = insert_rows(
    dead, "key route message_id source reason kind text stack attempts crashes died_at"
)
_ENDS = frozenset(state.value for state in (*CODE_OF, State.DEAD))
_STACK_LIMIT = 16_000
_TEXT_LIMIT = 2_000


@dataclass(slots=True)
class Ending:
    """One message with one handler, at its end. `source` and `route` by number, `claimed_at` in Unix seconds."""

    key: bytes
    route: int
    source: int
    message: Message
    attempts: int = 0
    claimed_at: float | None = None
    batch: str | None = None
    crashes: int = 0


@dataclass(slots=True)
class Endings:
    """
    What one transaction ends.

    Attributes:
        now: Unix seconds by the store's clock.
        owner: name of whoever ended it.
        counts: deltas of the counters, written along.
    """

    now: float
    owner: str
    counts: Counter[Tally] = field(default_factory=Counter)
    _ended: list[tuple[Any, ...]] = field(default_factory=list)
    _dead: list[tuple[Any, ...]] = field(default_factory=list)
    _dead_active: list[tuple[Any, ...]] = field(default_factory=list)
    _payloads: list[tuple[Any, ...]] = field(default_factory=list)
    _failures: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def concern_batches(self) -> bool:
        """Whether anything here changes how far a batch is."""
        return any(name in _ENDS for _, _, name in self.counts)

    def end(self, ending: Ending, code: int = _DONE) -> None:
        """A good end, or one that nobody mourns. The caller removes the active row."""
        message = ending.message
        self._ended.append(
            (
                ending.key,
                ending.route,
                message.id,
                ending.source,
                ending.batch,
                message.extensions.get("digest"),
                code,
                ending.attempts,
                message.time.timestamp() if message.time is not None else None,
                ending.claimed_at,
                self.now,
                self.owner,
            )
        )
        self.counts[(ending.batch, ending.route, CODES[code].value)] += 1

    def die(
        self, ending: Ending, reason: str, failure: Failure, payload: tuple[bytes, str, bytes] | None = None
    ) -> None:
        """
        A dead letter, payload kept. Its active row, if it has none yet, is made by `write`.

        Args:
            payload: the bytes to keep where they aren't those of `ending.message`.
        """
        message = ending.message
        key, route, source = ending.key, ending.route, ending.source
        counters = (ending.attempts, ending.crashes, self.now)
        error = _texts(failure)
        self._dead.append((key, route, message.id, message.source, reason, *error, *counters))
        digest = message.extensions.get("digest")
        self._dead_active.append(
            (key, route, DEAD, None, 0, 1, None, message.id, source, ending.batch, digest)
        )
        self._payloads.append(payload or rows.payload_row(key, message))
        self.counts[(ending.batch, route, "dead")] += 1
        self.counts[(ending.batch, route, "died")] += 1

    def fail(self, key: bytes, attempt: int, what: str, failure: Failure) -> None:
        """An attempt that failed, for whoever asks later what happened."""
        self._failures.append((key, self.now, attempt, what, *_texts(failure), self.owner))

    def write(self, connection: Connection) -> None:
        """Write everything gathered; the transaction is the caller's."""
        if self._ended:
            self._write_ended(connection)
        rows.INSERT_ACTIVE_OR_NOT.run(connection, self._dead_active)
        rows.PUT_PAYLOAD.run(connection, self._payloads)
        _INSERT_DEAD.run(connection, self._dead)
        rows.INSERT_FAILURE.run(connection, self._failures)
        tallies.add(connection, self.counts)

    def _write_ended(self, connection: Connection) -> None:
        """History is numbered here, as the writing transaction is alone: one statement for all needs the numbers."""
        there = live(connection)
        place = there.history[0]
        numbered = list(enumerate(self._ended, last_number(connection, place) + 1))
        rows.insert_history(place.number).run(connection, [(number, *row) for number, row in numbered])
        marks: dict[Bucket, list[tuple[Any, ...]]] = {}
        for number, (key, route, _, _, batch, digest, code, *_) in numbered:
            mark = (key, number, code, tag_of(batch), digest_of(digest))
            marks.setdefault(there.marks[route][0], []).append(mark)
        for bucket, given in marks.items():
            rows.insert_marks(bucket.number).run(connection, given)
        extend(connection, [place, *marks], self.now)


def _texts(failure: Failure) -> tuple[str, str, str]:
    """
    What a handler raised may hold anything: half a surrogate (a file name that isn't UTF-8) fits no database, and a NUL
    not every one.
    """
    texts = (failure.kind, failure.text[:_TEXT_LIMIT], failure.stack[-_STACK_LIMIT:])
    kind, text, stack = (
        text.encode(errors="backslashreplace").decode().replace("\0", "\\0") for text in texts
    )
    return kind, text, stack
