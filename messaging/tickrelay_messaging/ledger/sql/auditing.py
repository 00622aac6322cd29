# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who changed what by hand. Other rooms enter their changes in the same transaction."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from tickrelay_messaging.ledger.schedules import Audit, AuditEntry
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import audit


def enter(connection: Connection, now: float, who: str, entry: tuple[str, str]) -> None:
    """Part of the change's own transaction; `entry` says what was done, and the details."""
    what, detail = entry
    connection.execute(insert(audit).values(at=now, who=who, what=what, detail=detail))


class SqlAudit(Audit):
    """See `base.Audit`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enter(self, *, who: str, what: str, detail: str) -> None:
        with self._database.write() as connection:
            enter(connection, self._database.clock(), who, (what, detail))

    def list(self, *, about: str = "", after: int = 0, limit: int = 50) -> list[AuditEntry]:
        query = select(audit).order_by(audit.c.number.desc()).limit(limit)
        if after:
            query = query.where(audit.c.number < after)
        if about:
            query = query.where(audit.c.detail.contains(about, autoescape=True))
        with self._database.read() as connection:
            return [AuditEntry(**row) for row in connection.execute(query).mappings()]
