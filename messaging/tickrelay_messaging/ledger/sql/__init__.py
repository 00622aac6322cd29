# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A ledger in a SQL database. A store adds a module with its `Database`; everything else is here, a room a concern."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.ledger.base import Ledger, Transaction
from tickrelay_messaging.ledger.records import (
    Claim,
    Due,
    Failure,
    KeyRule,
    Owner,
    Retention,
    Route,
    Settlement,
    Swept,
)
from tickrelay_messaging.ledger.sql.assigning import SqlAssignments
from tickrelay_messaging.ledger.sql.auditing import SqlAudit
from tickrelay_messaging.ledger.sql.batches import SqlBatches
from tickrelay_messaging.ledger.sql.burying import bury
from tickrelay_messaging.ledger.sql.claims import Claims
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.dead_letters import SqlDeadLetters
from tickrelay_messaging.ledger.sql.lives import SqlHistory
from tickrelay_messaging.ledger.sql.mailbox import SqlMailbox
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.outbox import SqlOutbox
from tickrelay_messaging.ledger.sql.owners import Owners
from tickrelay_messaging.ledger.sql.revoking import SqlRevocations
from tickrelay_messaging.ledger.sql.scheduling import SqlSchedules
from tickrelay_messaging.ledger.sql.schema import open_schema
from tickrelay_messaging.ledger.sql.settling import Settling
from tickrelay_messaging.ledger.sql.steps import SqlSteps
from tickrelay_messaging.ledger.sql.sweeping import Sweeping
from tickrelay_messaging.ledger.sql.transactions import transaction
from tickrelay_messaging.ledger.sql.waiting import Waiting
from tickrelay_messaging.message import Message


class SqlLedger(Ledger):
    """See `Ledger`; each verb lives in the module named after what it does."""

    effects = frozenset({"external", "transaction"})

    def __init__(self, database: Database) -> None:
        self.database = database
        self.id = open_schema(database)
        names = Names(database)
        self._names = names
        self._owners = Owners(database, names)
        self._claims = Claims(database, names)
        self._waiting = Waiting(database, names)
        self._settling = Settling(database)
        self._sweeping = Sweeping(database)
        self.dead_letters = SqlDeadLetters(database, names)
        self.batches = SqlBatches(database, names)
        self.mailbox = SqlMailbox(database)
        self.history = SqlHistory(database, names)
        self.revocations = SqlRevocations(database)
        self.steps = SqlSteps(database)
        self.outbox = SqlOutbox(database)
        self.assignments = SqlAssignments(database)
        self._schedules = SqlSchedules(database)
        self.schedules = self._schedules
        self.audit = SqlAudit(database)

    def now(self) -> float:
        return self.database.clock()

    def enroll(self, name: str, routes: Iterable[Route], *, lease: float = 30.0) -> Owner:
        return self._owners.enroll(name, routes, lease=lease)

    def renew(self, owner: Owner) -> None:
        self._owners.renew(owner)

    def retire(self, owner: Owner) -> None:
        self._owners.retire(owner)

    def reap(self) -> int:
        return self._owners.reap()

    def claim(
        self, owner: Owner, route: Route, messages: Sequence[Message], *, rule: KeyRule = KeyRule.NONE
    ) -> list[Claim]:
        return self._claims.claim(owner, route, messages, rule)

    def hold(self, owner: Owner, claims: Sequence[Claim]) -> list[bool]:
        return self._settling.hold(owner, claims)

    def sweep(self, marks: Mapping[str, float], retention: Retention) -> Swept:
        self._schedules.forget(retention)
        return self._sweeping.sweep(marks, retention)

    def claim_due(
        self, owner: Owner, route: Route, limit: int, *, suspects: bool = False, ahead: float = 0.0
    ) -> list[Claim]:
        return self._waiting.claim_due(owner, route, limit, suspects=suspects, ahead=ahead)

    def due(self, routes: Sequence[Route]) -> Due:
        return self._waiting.due(routes)

    def settle(self, owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        return self._settling.settle(owner, settlements)

    def bury(self, route: Route, deliveries: Sequence[Delivery], failure: Failure) -> None:
        bury(self.database, self._names, route, [(delivery, failure) for delivery in deliveries])

    def transaction(self, owner: Owner, claims: Sequence[Claim]) -> AbstractContextManager[Transaction]:
        return transaction(self.database, owner, claims)

    def wait(self, timeout: float | None) -> bool:
        return self.database.wait(timeout)

    def wait_for_work(self, owner: Owner, timeout: float | None) -> bool:
        return self.database.wait_for_work(owner.number, timeout)

    def close(self) -> None:
        self.database.close()
