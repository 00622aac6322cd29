# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Claiming what was just received: who may carry a message out, decided in one transaction for a whole batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from tickrelay_messaging.errors import ClaimLost, LedgerUnavailable
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import Claim, KeyRule, Outcome, Owner, Route
from tickrelay_messaging.ledger.sql import rows
from tickrelay_messaging.ledger.sql.answering import Answering, Asking
from tickrelay_messaging.ledger.sql.buckets import live
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.revoking import in_force
from tickrelay_messaging.ledger.sql.tables import FENCE
from tickrelay_messaging.message import Message

_HIGHEST_GONE = "(SELECT CAST(value AS BIGINT) FROM meta WHERE name = ?)"
_CHECK_OWNER = f"SELECT coalesce({_HIGHEST_GONE}, 0) FROM owners WHERE number = ?"  # noqa: S608 - no data in it


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


class Claims:
    """See `Ledger.claim`."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names
        self._doubtful: dict[tuple[int, bytes], int] = {}

    def claim(self, owner: Owner, route: Route, messages: Sequence[Message], rule: KeyRule) -> list[Claim]:
        """See `Ledger.claim`."""
        if not messages:
            return []
        sources = {message.source: self._names.source(message.source) for message in messages}
        number = self._names.route(route)
        keys = [key_of(route, message.source, message.id) for message in messages]
        rounds: list[tuple[Sequence[int], Answering]] = []
        try:
            with self._database.write() as connection:
                highest_gone = check_owner(connection, owner)
                now = self._database.clock()
                asking = Asking(
                    route=route,
                    number=number,
                    owner=owner,
                    rule=rule,
                    sources=sources,
                    now=now,
                    fence=max(highest_gone + 1, int(now * 1e6)),
                    doubtful=self._doubtful,
                    taken_back=in_force(connection, messages),
                    live=live(connection),
                )
                for places in _rounds(keys):
                    answering = Answering(asking)
                    answering.decide(connection, [(keys[place], messages[place]) for place in places])
                    answering.write(connection)
                    rounds.append((places, answering))
        except LedgerUnavailable:
            self._doubt(owner, rounds)
            raise
        self._ring([answering for _, answering in rounds])
        answers = {
            place: claim
            for places, answering in rounds
            for place, claim in zip(places, answering.claims, strict=True)
        }
        self._trust(owner, answers.values())
        return [answers[place] for place in range(len(messages))]

    def _doubt(self, owner: Owner, rounds: Sequence[tuple[Sequence[int], Answering]]) -> None:
        """No answer came to the commit, so these may be the owner's without anybody carrying them out."""
        for _, answering in rounds:
            running = [claim for claim in answering.claims if claim.outcome is Outcome.RUN]
            self._doubtful.update({(owner.number, claim.key): claim.fence for claim in running})

    def _trust(self, owner: Owner, answers: Iterable[Claim]) -> None:
        if self._doubtful:
            for claim in answers:
                self._doubtful.pop((owner.number, claim.key), None)

    def _ring(self, rounds: Sequence[Answering]) -> None:
        if any(answering.payloads for answering in rounds):
            self._database.ring(Topic.WORK)
        if any(answering.endings.concern_batches for answering in rounds):
            self._database.ring(Topic.OUTCOMES)


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
