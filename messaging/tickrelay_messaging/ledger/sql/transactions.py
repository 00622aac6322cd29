# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
`effect="transaction"`: business writes and done-marks in one commit.

Several messages share one transaction, each inside a savepoint, so that they share one wait for the disk; one message's
failure undoes only its own writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.base import Transaction
from tickrelay_messaging.ledger.hearing import Topic
from tickrelay_messaging.ledger.records import Claim, Owner
from tickrelay_messaging.ledger.sql.database import Database, Transacting
from tickrelay_messaging.ledger.sql.endings import Endings
from tickrelay_messaging.ledger.sql.outbox import stage
from tickrelay_messaging.ledger.sql.settling import HeldRow, are_followed, held_claims, mark_done
from tickrelay_messaging.message import Message


class SqlTransaction(Transaction):
    """See `base.Transaction`."""

    def __init__(self, transacting: Transacting, owner: Owner, claims: Sequence[Claim]) -> None:
        self._transacting = transacting
        self._owner = owner
        self._held = held_claims(transacting.connection, owner, claims)
        self._ended: list[tuple[Claim, HeldRow]] = []
        self.gives_work = False

    @property
    def connection(self) -> Connection:
        return self._transacting.connection

    @contextmanager
    def message(self, claims: Sequence[Claim]) -> Iterator[None]:
        mine = {(claim.key, claim.fence): claim for claim in claims}
        if not mine.keys() <= self._held.keys():
            raise ClaimLost("another consumer has taken this message over; nothing was done here")
        with self._transacting.part():
            yield
        self._ended += [(claim, self._held.pop(which)) for which, claim in mine.items()]

    def publish(self, queue: str, messages: Sequence[Message]) -> None:
        self._transacting.check()
        stage(self.connection, queue, messages)
        self.gives_work = True

    def abort(self) -> None:
        self._transacting.abort()

    def mark(self, endings: Endings) -> None:
        """
        Write the done-marks of every message that came through; none without its effect.

        Raises:
            ClaimLost: one of them was taken over meanwhile; nothing may be committed.
        """
        self._transacting.check()
        if not self._transacting.be_alone():
            self._look_again()
        mark_done(self.connection, endings, self._ended)
        endings.write(self.connection)
        self.gives_work |= are_followed(self.connection, (row for _, row in self._ended))

    def _look_again(self) -> None:
        """Others wrote while the handlers ran: a later try may have moved a batch, or the owner been taken for dead."""
        now = held_claims(self.connection, self._owner, [claim for claim, _ in self._ended])
        if len(now) < len(self._ended):
            raise ClaimLost("another consumer has taken messages of this transaction over; it was undone")
        self._ended = [(claim, now[claim.key, claim.fence]) for claim, _ in self._ended]


@contextmanager
def transaction(database: Database, owner: Owner, claims: Sequence[Claim]) -> Iterator[SqlTransaction]:
    """
    See `Ledger.transaction`.

    The claims are checked at the beginning; where others may write meanwhile, once more before the done-marks.
    """
    with database.transact() as transacting:
        inside = SqlTransaction(transacting, owner, claims)
        yield inside
        inside.mark(Endings(database.clock(), owner.name))
    database.ring(Topic.OUTCOMES)
    if inside.gives_work:
        database.ring(Topic.WORK)
