# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
From each version of the schema to the next, in Alembic's operations.

A step is never changed once it was released, so it names its columns itself instead of taking them from `tables`. What
a step only adds leaves older programs working: see `schema.OLDEST`.
"""

from __future__ import annotations

from collections.abc import Callable

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Inspector,
    Integer,
    LargeBinary,
    Text,
    inspect,
    text,
)

from tickrelay_messaging.ledger.sql.migrating_buckets import to_buckets
from tickrelay_messaging.ledger.sql.migrating_schedules import add_schedules

_Big = BigInteger().with_variant(Integer, "sqlite")


def migrate(connection: Connection, version: int) -> None:
    """Carry out every step from this version on, within the caller's transaction."""
    operations = Operations(MigrationContext.configure(connection))
    for number in sorted(STEPS):
        if number > version:
            STEPS[number](operations)


def _to_2(operations: Operations) -> None:
    """Key order, singletons, ambiguity, revocations, steps and the outbox."""
    for name, kind in (("order_key", LargeBinary()), ("position", _Big)):
        operations.add_column("active", Column(name, kind))
    for name in ("rule", "ambiguous", "stepped"):
        operations.add_column("active", Column(name, Integer, nullable=False, server_default="0"))
    operations.add_column("tallies", Column("skipped", Integer, nullable=False, server_default="0"))
    where = text("order_key IS NOT NULL")
    operations.create_index(
        "active_order", "active", ["order_key", "position"], sqlite_where=where, postgresql_where=where
    )
    _create_rooms_of_2(operations)


def _create_rooms_of_2(operations: Operations) -> None:
    operations.create_table(
        "revocations",
        Column("number", _Big, primary_key=True),
        Column("schedule", Text, nullable=False),
        Column("since", Float, nullable=False),
        Column("until", Float),
        Column("generation", _Big, nullable=False),
        Column("who", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("at", Float, nullable=False),
        sqlite_autoincrement=True,
    )
    operations.create_index("ix_revocations_schedule", "revocations", ["schedule"])
    operations.create_table(
        "steps",
        Column("key", LargeBinary, primary_key=True),
        Column("name", Text, primary_key=True),
        Column("result", LargeBinary, nullable=False),
    )
    operations.create_table(
        "outbox",
        Column("number", _Big, primary_key=True),
        Column("queue", Text, nullable=False),
        Column("headers", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("taker", _Big),
        sqlite_autoincrement=True,
    )


def _to_5(operations: Operations) -> None:
    """
    Which DAG run has which message; revocations by tick; which runs of a schedule were the first and the last.

    MySQL keeps each part at once, so a step that was broken off finds there what it has done.
    """
    found = inspect(operations.get_bind())
    _add_columns_of_5(operations, found)
    if not found.has_table("assignments"):
        operations.create_table(
            "assignments",
            Column("key", LargeBinary, primary_key=True),
            Column("taker", LargeBinary, nullable=False),
            Column("day", Integer, nullable=False),
        )
    name = "ix_assignments_day"
    if name not in {index["name"] for index in inspect(operations.get_bind()).get_indexes("assignments")}:
        operations.create_index(name, "assignments", ["day"])


def _add_columns_of_5(operations: Operations, found: Inspector) -> None:
    added = {
        "revocations": [Column("by_tick", Integer, nullable=False, server_default="0")],
        "schedules": [Column("begun", Float), Column("latest", Float)],
    }
    for table, columns in added.items():
        known = {column["name"] for column in found.get_columns(table)}
        for column in columns:
            if column.name not in known:
                operations.add_column(table, column)


STEPS: dict[int, Callable[[Operations], None]] = {2: _to_2, 3: add_schedules, 4: to_buckets, 5: _to_5}
"""By the version they lead to."""
