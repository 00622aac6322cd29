# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a claim is answered, message by message; gathered first, then written with a statement a kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tickrelay_messaging.ledger.keys import other_payload_key
from tickrelay_messaging.ledger.records import (
    Claim,
    Failure,
    KeyRule,
    Outcome,
    Owner,
    Revocation,
    Route,
    State,
)
from tickrelay_messaging.ledger.sql import known, rows
from tickrelay_messaging.ledger.sql.buckets import Live
from tickrelay_messaging.ledger.sql.bulk import update_rows
from tickrelay_messaging.ledger.sql.endings import CODE_OF, Ending, Endings
from tickrelay_messaging.ledger.sql.known import Mark, find_active, find_done, forget_done
from tickrelay_messaging.ledger.sql.ordering import BEHIND, INSERT_KEYED, RULES, Places, order_key
from tickrelay_messaging.ledger.sql.revoking import is_covered, replace_revoked
from tickrelay_messaging.ledger.sql.tables import CLAIMED, ORPHAN, WAITING, active
from tickrelay_messaging.ledger.sql.tries import (
    Counted,
    count_active_for_newest,
    count_done_for_newest,
    differ,
)
from tickrelay_messaging.message import Message

_PARK_ORPHAN = update_rows(active, f"state = {WAITING}, held = 1, due = ?", "due", where=f"state = {ORPHAN}")
_REVOKED = CODE_OF[State.REVOKED]


@dataclass(slots=True, frozen=True, kw_only=True)
class Asking:
    """
    Who asks, for whom, and what concerns these messages.

    Attributes:
        number: the route's.
        sources: their numbers.
        fence: of what is RUN.
        doubtful: fences of claims of this owner's whose commit got no answer, by key.
        taken_back: the revocations that concern these messages.
        live: where marks of messages that ended are.
    """

    route: Route
    number: int
    owner: Owner
    rule: KeyRule
    sources: dict[str, int]
    now: float
    fence: int
    doubtful: dict[tuple[int, bytes], int]
    taken_back: Sequence[Revocation]
    live: Live


class Answering:
    """
    What one round of a call gathers.

    Attributes:
        claims: the answers, in the order asked.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._places = Places(asking.now)
        self.endings = Endings(asking.now, asking.owner.name)
        self.claims: list[Claim] = []
        self.payloads: list[tuple[Any, ...]] = []
        self._active: list[tuple[Any, ...]] = []
        self._keyed: list[tuple[Any, ...]] = []
        self._held: list[tuple[Any, ...]] = []
        self._parked_orphans: list[tuple[Any, ...]] = []

    def decide(self, connection: Connection, asked: Sequence[tuple[bytes, Message]]) -> None:
        """Answer each of them; a key may be there once."""
        keys = [key for key, _ in asked]
        asking = self._asking
        done = find_done(connection, asking.live, asking.number, keys)
        active_ones = find_active(connection, keys)
        ordered = [order_key(asking.route, asking.rule, message) for _, message in asked]
        self._places.look(connection, asking.owner, asking.rule, ordered)
        for (key, message), order in zip(asked, ordered, strict=True):
            if key in done and not self._is_replaced(connection, message, done[key]):
                self._answer_done(connection, message, done[key])
            elif key in active_ones:
                self._answer_known(connection, message, active_ones[key])
            else:
                self._answer_new(key, message, order)

    def write(self, connection: Connection) -> None:
        """Write everything gathered; the transaction is the caller's."""
        rows.INSERT_ACTIVE.run(connection, self._active)
        INSERT_KEYED.run(connection, self._keyed)
        rows.PUT_PAYLOAD.run(connection, self.payloads)
        rows.HOLD.run(connection, self._held)
        _PARK_ORPHAN.run(connection, self._parked_orphans)
        self.endings.write(connection)

    def _answer(self, outcome: Outcome, key: bytes, message: Message) -> None:
        self.claims.append(Claim(outcome, self._asking.route, key, message))

    def _ending(self, key: bytes, message: Message) -> Ending:
        batch = message.extensions.get("batchid")
        return Ending(key, self._asking.number, self._asking.sources[message.source], message, batch=batch)

    def _end(self, key: bytes, message: Message, state: State) -> None:
        self.endings.end(self._ending(key, message), CODE_OF[state])
        self._answer(Outcome(state.value), key, message)

    def _answer_new(self, key: bytes, message: Message, ordered: bytes | None) -> None:
        now = self._asking.now
        due = message.deliver_at.timestamp() if message.deliver_at is not None else 0.0
        if message.expires is not None and message.expires.timestamp() <= now:
            self._end(key, message, State.EXPIRED)
        elif is_covered(message, self._asking.taken_back):
            self._end(key, message, State.REVOKED)
        elif due > now:
            self._park(key, message, (0, due), (ordered, int(due * 1e6)))
        elif (
            self._asking.rule is KeyRule.SINGLETON and ordered is not None and not self._places.begin(ordered)
        ):
            self._end(key, message, State.SKIPPED)
        else:
            self._begin(key, message, ordered)

    def _begin(self, key: bytes, message: Message, ordered: bytes | None) -> None:
        """It runs, unless it has a place behind others."""
        place = None
        if ordered is not None and self._asking.rule is not KeyRule.SINGLETON:
            place = self._places.take(ordered)
            if self._places.is_blocked(ordered):
                self._park(key, message, (BEHIND, self.endings.now), (ordered, place))
                return
        self._insert(
            (key, self._asking.number, CLAIMED, self._asking.owner.number, self._asking.fence, 0, None),
            message,
            (ordered, place),
        )
        self.claims.append(Claim(Outcome.RUN, self._asking.route, key, message, self._asking.fence))

    def _park(
        self, key: bytes, message: Message, when: tuple[int, float], place: tuple[bytes | None, int]
    ) -> None:
        fence, due = when
        kept_place = (place[0], None if self._asking.rule is KeyRule.SINGLETON else place[1])
        self._insert((key, self._asking.number, WAITING, None, fence, 1, due), message, kept_place)
        self.payloads.append(rows.payload_row(key, message))
        self._answer(Outcome.PARKED, key, message)

    def _insert(
        self, head: tuple[Any, ...], message: Message, place: tuple[bytes | None, int | None]
    ) -> None:
        extensions = message.extensions
        source = self._asking.sources[message.source]
        row = (*head, message.id, source, extensions.get("batchid"), extensions.get("digest"))
        if place[0] is None:
            self._active.append(row)
        else:
            self._keyed.append((*row, *place, RULES[self._asking.rule]))

    def _is_replaced(self, connection: Connection, message: Message, mark: Mark) -> bool:
        """Whether it was revoked, and now comes with a generation that isn't: then it's as if it had never come."""
        if mark.state != _REVOKED or is_covered(message, self._asking.taken_back):
            return False
        batch = known.batch_of(connection, self._asking.live, mark)
        forget_done(connection, self._asking.live, mark)
        self.endings.counts[(batch, self._asking.number, State.REVOKED.value)] -= 1
        return True

    def _answer_done(self, connection: Connection, message: Message, mark: Mark) -> None:
        if mark.state != _REVOKED and known.differ(message.extensions.get("digest"), mark):
            self._answer_other_payload(connection, mark.key, message)
            return
        count_done_for_newest(connection, self._asking.live, self._counted(message), mark)
        self.endings.counts[(None, self._asking.number, "duplicates")] += 1
        self._answer(Outcome.DUPLICATE, mark.key, message)

    def _counted(self, message: Message) -> Counted:
        return self.endings.counts, self._asking.number, message

    def _answer_known(self, connection: Connection, message: Message, row: Any) -> None:
        key, digest, _, state, owner, fence = row
        is_mine = state == CLAIMED and owner == self._asking.owner.number
        if is_mine and self._asking.doubtful.get((owner, key)) == fence:
            self.claims.append(Claim(Outcome.RUN, self._asking.route, key, message, fence))
            return
        if state in (WAITING, CLAIMED) and replace_revoked(
            connection, key, message, self._asking.taken_back, waits=state == WAITING
        ):
            self._answer(Outcome.PARKED, key, message)
            return
        if differ(message.extensions.get("digest"), digest):
            self._answer_other_payload(connection, key, message)
            return
        count_active_for_newest(connection, self._counted(message), row)
        self._adopt(key, message, state)
        self._answer(Outcome.PARKED, key, message)

    def _adopt(self, key: bytes, message: Message, state: int) -> None:
        if state in (CLAIMED, ORPHAN):
            self.payloads.append(rows.payload_row(key, message))
        if state == CLAIMED:
            self._held.append((key,))
        elif state == ORPHAN:
            self._parked_orphans.append((self.endings.now, key))

    def _answer_other_payload(self, connection: Connection, key: bytes, message: Message) -> None:
        """The same id with another payload is somebody's mistake, never a duplicate to be dropped in silence."""
        other = other_payload_key(key, message.extensions["digest"])
        self._answer(Outcome.MISMATCH, other, message)
        asking = self._asking
        if mark := find_done(connection, asking.live, asking.number, [other]).get(other):
            count_done_for_newest(connection, asking.live, self._counted(message), mark)
            return
        if row := find_active(connection, [other]).get(other):
            count_active_for_newest(connection, self._counted(message), row)
            return
        text = f"id {message.id} came before with another payload; give different payloads different ids"
        self.endings.die(self._ending(other, message), "mismatch", Failure("DigestMismatch", text))
