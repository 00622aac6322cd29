# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which version of the tables a ledger has: made, brought up to date, or refused."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Connection, insert, inspect, select, update

from tickrelay_messaging.errors import StorageCorrupt
from tickrelay_messaging.ledger.sql import tallies
from tickrelay_messaging.ledger.sql.buckets import open_first
from tickrelay_messaging.ledger.sql.database import Database
from tickrelay_messaging.ledger.sql.tables import FENCE, SCHEMA_VERSION, meta, metadata

OLDEST = 4
"""
The oldest program's version that can work with tables of this one: while a new program is rolled out, both work side by
side. A ledger says so itself (`meta`), since an old program can't know.
"""


def open_schema(database: Database) -> str:
    """
    Make the tables if there are none, and migrate an older version's.

    Returns:
        the ledger's id.

    Raises:
        StorageCorrupt: a newer program has changed it into something that this one can't work with; it's left alone.
    """
    with database.read() as connection:
        found = _read_meta(connection)
    if not found or _version(found) < SCHEMA_VERSION:
        with database.write() as connection:
            # Asked again inside the transaction: of many that start at once, one does it.
            found = _read_meta(connection) or _create(connection, database.clock())
            found = _migrate(connection, found)
    _check(found)
    return found["id"]


def _read_meta(connection: Connection) -> dict[str, str]:
    if not inspect(connection).has_table(meta.name):
        return {}
    return {row.name: row.value for row in connection.execute(select(meta))}


def _version(found: dict[str, str]) -> int:
    return int(found["schema"])


def _check(found: dict[str, str]) -> None:
    version = _version(found)
    if version > SCHEMA_VERSION and int(found.get("oldest", version)) > SCHEMA_VERSION:
        raise StorageCorrupt(
            f"the ledger's schema is version {version}, this program speaks {SCHEMA_VERSION}; "
            "use the program version that made it, or start a new ledger"
        )


def _create(connection: Connection, now: float) -> dict[str, str]:
    metadata.create_all(connection)
    made = {"id": str(uuid4()), **_current(), FENCE: "0", tallies.FOLDED: "0"}
    connection.execute(insert(meta), [{"name": name, "value": value} for name, value in made.items()])
    open_first(connection, None, now)
    return made


def _migrate(connection: Connection, found: dict[str, str]) -> dict[str, str]:
    if _version(found) >= SCHEMA_VERSION:
        return found
    # Alembic is slow to import, and rarely needed.
    from tickrelay_messaging.ledger.sql.migrations import migrate

    migrate(connection, _version(found))
    for name, value in _current().items():
        if name in found:
            connection.execute(update(meta).where(meta.c.name == name).values(value=value))
        else:
            connection.execute(insert(meta).values(name=name, value=value))
    return {**found, **_current()}


def _current() -> dict[str, str]:
    return {"schema": str(SCHEMA_VERSION), "oldest": str(OLDEST)}
