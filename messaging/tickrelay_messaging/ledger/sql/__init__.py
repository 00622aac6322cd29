# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A ledger in a SQL database. A store adds a module with its `Database`; everything else is here, a room a concern."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from uuid import uuid4

from sqlalchemy import Connection, insert, inspect, select

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.errors import StorageCorrupt
from tickrelay_messaging.ledger.base import Ledger, Transaction
from tickrelay_messaging.ledger.records import Claim, Due, Failure, Owner, Route, Settlement
from tickrelay_messaging.ledger.sql import tallies
from tickrelay_messaging.ledger.sql.batches import SqlBatches
from tickrelay_messaging.ledger.sql.burying import bury
from tickrelay_messaging.ledger.sql.claims import Claims
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.dead_letters import SqlDeadLetters
from tickrelay_messaging.ledger.sql.lives import SqlHistory
from tickrelay_messaging.ledger.sql.mailbox import SqlMailbox
from tickrelay_messaging.ledger.sql.names import Names
from tickrelay_messaging.ledger.sql.owners import Owners
from tickrelay_messaging.ledger.sql.settling import Settling
from tickrelay_messaging.ledger.sql.tables import FENCE, SCHEMA_VERSION, meta, metadata
from tickrelay_messaging.ledger.sql.transactions import transaction
from tickrelay_messaging.ledger.sql.waiting import Waiting
from tickrelay_messaging.message import Message


class SqlLedger(Ledger):
    """See `Ledger`; each verb lives in the module named after what it does."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.id = _open(database)
        names = Names(database)
        self._names = names
        self._owners = Owners(database, names)
        self._claims = Claims(database, names)
        self._waiting = Waiting(database, names)
        self._settling = Settling(database)
        self.dead_letters = SqlDeadLetters(database, names)
        self.batches = SqlBatches(database, names)
        self.mailbox = SqlMailbox(database)
        self.history = SqlHistory(database, names)

    def enroll(self, name: str, routes: Iterable[Route], *, lease: float = 30.0) -> Owner:
        return self._owners.enroll(name, routes, lease=lease)

    def renew(self, owner: Owner) -> None:
        self._owners.renew(owner)

    def retire(self, owner: Owner) -> None:
        self._owners.retire(owner)

    def reap(self) -> int:
        return self._owners.reap()

    def claim(self, owner: Owner, route: Route, messages: Sequence[Message]) -> list[Claim]:
        return self._claims.claim(owner, route, messages)

    def claim_due(self, owner: Owner, route: Route, limit: int, *, suspects: bool = False) -> list[Claim]:
        return self._waiting.claim_due(owner, route, limit, suspects=suspects)

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


def _open(database: Database) -> str:
    """Make the tables if there are none; returns the ledger's id. Another version's ledger is left as it is."""
    with database.read() as connection:
        found = _read_meta(connection)
    if not found:
        with database.write() as connection:
            found = _read_meta(connection) or _create(connection)
    if found.get("schema") != str(SCHEMA_VERSION):
        raise StorageCorrupt(
            f"the ledger's schema is version {found.get('schema')}, this program speaks {SCHEMA_VERSION}; "
            "use the program version that made it, or start a new ledger"
        )
    return found["id"]


def _read_meta(connection: Connection) -> dict[str, str]:
    if not inspect(connection).has_table(meta.name):
        return {}
    return {row.name: row.value for row in connection.execute(select(meta))}


def _create(connection: Connection) -> dict[str, str]:
    metadata.create_all(connection)
    made = {"id": str(uuid4()), "schema": str(SCHEMA_VERSION), FENCE: "0", tallies.FOLDED: "0"}
    connection.execute(insert(meta), [{"name": name, "value": value} for name, value in made.items()])
    return made
