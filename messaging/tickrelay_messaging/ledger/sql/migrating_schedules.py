# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A migration step of its own: the tables about schedules. Never changed once released; see `migrations`."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, Text

_Big = BigInteger().with_variant(Integer, "sqlite")


def add_schedules(operations: Operations) -> None:
    """`ticks` and `schedules`; what is only added leaves older programs working."""
    operations.create_table(
        "ticks",
        Column("number", _Big, primary_key=True),
        Column("key", LargeBinary, nullable=False, unique=True),
        *(Column(name, Text, nullable=False) for name in ("schedule", "outcome", "dag_id", "run_id")),
        *(Column(name, Text, nullable=False) for name in ("task_id", "reason")),
        *(Column(name, Float, nullable=False) for name in ("tick", "at")),
        sqlite_autoincrement=True,
    )
    operations.create_index("ticks_schedule", "ticks", ["schedule", "number"])
    operations.create_table(
        "schedules",
        Column("key", LargeBinary, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("schedule", "fingerprint")),
        Column("previous", Text),
        Column("generation", _Big, nullable=False),
        Column("since", Float, nullable=False),
    )
