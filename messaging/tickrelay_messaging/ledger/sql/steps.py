# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Steps in a SQL ledger. The active row says whether there are any, so messages without cost nothing at their end."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.base import Steps
from tickrelay_messaging.ledger.records import Claim, Owner
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import CLAIMED, active, steps

_CHUNK = 1_000


class SqlSteps(Steps):
    """See `base.Steps`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, claim: Claim) -> dict[str, bytes]:
        query = select(steps.c.name, steps.c.result).where(steps.c.key == claim.key)
        with self._database.read() as connection:
            return {row.name: bytes(row.result) for row in connection.execute(query)}

    def put(self, owner: Owner, claim: Claim, name: str, result: bytes) -> None:
        known = select(steps.c.name).where(steps.c.key == claim.key, steps.c.name == name)
        with self._database.write() as connection:
            _check(connection, owner, claim)
            if connection.execute(known).first() is not None:
                return
            connection.execute(insert(steps).values(key=claim.key, name=name, result=result))
            connection.execute(update(active).where(active.c.key == claim.key).values(stepped=1))


def _check(connection: Connection, owner: Owner, claim: Claim) -> None:
    mine = (active.c.owner == owner.number, active.c.fence == claim.fence, active.c.state == CLAIMED)
    if connection.execute(select(active.c.key).where(active.c.key == claim.key, *mine)).first() is None:
        raise ClaimLost(
            f"message {claim.message.id} isn't consumer {owner.name}'s any more; its step wasn't remembered"
        )


def forget(connection: Connection, keys: Sequence[bytes]) -> None:
    """These messages have come to their end."""
    for at in range(0, len(keys), _CHUNK):
        connection.execute(delete(steps).where(steps.c.key.in_(keys[at : at + _CHUNK])))
