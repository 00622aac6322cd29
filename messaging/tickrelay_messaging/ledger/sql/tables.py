# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The tables of a SQL ledger.

`active` is what every message passes through, so its rows are as small as can be: names are interned (`routes`,
`sources`), payloads lie apart (`payloads`). What is left of messages that ended lies in tables that come and go, see
`tables_buckets`; what people read of the others, in `failures` and `dead`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from tickrelay_messaging.ledger.sql.tables_buckets import table_of_buckets
from tickrelay_messaging.ledger.sql.tables_schedules import tables_of_schedules

SCHEMA_VERSION = 5

FENCE = "fence"
"""Name in `meta` of the highest fence whose row is gone: its key's next one is higher, whatever the clock says."""

CLAIMED, WAITING, DEAD, ORPHAN, DISCARDED = 1, 2, 3, 4, 5
"""States of an active row. An orphan's owner died before its payload was stored: the broker brings it again."""

metadata = MetaData()

_Big = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere; SQLite numbers rows by itself only under its own word."""

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

routes = Table(
    "routes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("handler", Text, nullable=False),
    Column("seen_at", Float, nullable=False),
    UniqueConstraint("queue", "group_name", "handler"),
)

sources = Table(
    "sources",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("source", Text, nullable=False, unique=True),
)

owners = Table(
    "owners",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("lease", Float, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("renewed_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

active = Table(
    "active",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("route", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("owner", _Big),
    Column("fence", _Big, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("suspect", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("due", Float),
    Column("message_id", Text, nullable=False),
    Column("source", Integer, nullable=False),
    Column("batch", Text),
    Column("digest", Text),
    Column("order_key", LargeBinary),
    Column("position", _Big),
    Column("rule", Integer, nullable=False, default=0, server_default="0"),
    Column("ambiguous", Integer, nullable=False, default=0, server_default="0"),
    Column("stepped", Integer, nullable=False, default=0, server_default="0"),
    sqlite_with_rowid=False,
)
Index(
    "active_order",
    active.c.order_key,
    active.c.position,
    sqlite_where=active.c.order_key.is_not(None),
    postgresql_where=active.c.order_key.is_not(None),
)
Index(
    "active_due",
    active.c.route,
    active.c.due,
    sqlite_where=active.c.state == WAITING,
    postgresql_where=active.c.state == WAITING,
)

payloads = Table(
    "payloads",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

buckets = table_of_buckets(metadata)

failures = Table(
    "failures",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("key", LargeBinary, nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("what", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("owner", Text, nullable=False),
)

dead = Table(
    "dead",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("route", Integer, nullable=False),
    Column("message_id", Text, nullable=False, index=True),
    Column("source", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("stack", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("died_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("queue", Text, nullable=False),
    Column("dag_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float),
    Column("count", Integer),
    Column("already_done", Integer, nullable=False, default=0),
    PrimaryKeyConstraint("id", "ordinal"),
    Index("batches_run", "dag_id", "run_id"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("batch", Text, index=True),
    Column("route", Integer, nullable=False),
    *(
        Column(name, Integer, nullable=False, default=0, server_default="0")
        for name in (
            "done",
            "dead",
            "discarded",
            "expired",
            "revoked",
            "skipped",
            "retried",
            "duplicates",
            "crashes",
            "died",
        )
    ),
)
TALLIED = (
    "done",
    "dead",
    "discarded",
    "expired",
    "revoked",
    "skipped",
    "retried",
    "duplicates",
    "crashes",
    "died",
)

mailbox = Table(
    "mailbox",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("taker", Text, unique=False),
    Column("taken_at", Float),
    Index("mailbox_place", "queue", "group_name", "taker"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("schedule", Text, nullable=False, index=True),
    Column("since", Float, nullable=False),
    Column("until", Float),
    Column("generation", _Big, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("by_tick", Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

steps = Table(
    "steps",
    metadata,
    Column("key", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("result", LargeBinary, nullable=False),
    PrimaryKeyConstraint("key", "name"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("number", _Big, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("taker", _Big),
    sqlite_autoincrement=True,
)

assignments = Table(
    "assignments",
    metadata,
    Column("key", LargeBinary, nullable=False, primary_key=True),
    Column("taker", LargeBinary, nullable=False),
    Column("day", Integer, nullable=False, index=True),
)

ticks, schedules = tables_of_schedules(metadata)
