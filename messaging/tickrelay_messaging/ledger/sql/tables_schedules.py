# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The tables about schedules: decisions about ticks, and the form each schedule had last."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

_Big = BigInteger().with_variant(Integer, "sqlite")


def tables_of_schedules(metadata: MetaData) -> tuple[Table, Table]:
    """`ticks` and `schedules`; their keys are hashes of what is unique, as names may be longer than an index allows."""
    ticks = Table(
        "ticks",
        metadata,
        Column("number", _Big, primary_key=True),
        Column("key", LargeBinary, nullable=False, unique=True),
        Column("schedule", Text, nullable=False),
        Column("tick", Float, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("dag_id", Text, nullable=False),
        Column("run_id", Text, nullable=False),
        Column("task_id", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("at", Float, nullable=False),
        Index("ticks_schedule", "schedule", "number"),
        sqlite_autoincrement=True,
    )
    schedules = Table(
        "schedules",
        metadata,
        Column("key", LargeBinary, primary_key=True),
        Column("schedule", Text, nullable=False),
        Column("fingerprint", Text, nullable=False),
        Column("previous", Text),
        Column("generation", _Big, nullable=False),
        Column("since", Float, nullable=False),
        Column("begun", Float),
        Column("latest", Float),
    )
    return ticks, schedules
