# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who changed what by hand."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from tickrelay_messaging.ledger.sql.tables import audit


def enter(connection: Connection, now: float, who: str, entry: tuple[str, str]) -> None:
    """Part of the change's own transaction; `entry` says what was done, and the details."""
    what, detail = entry
    connection.execute(insert(audit).values(at=now, who=who, what=what, detail=detail))
