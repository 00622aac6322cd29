# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The tables that come and go: done-marks of a group, and what people read of ended messages, each of a stretch of time.

`buckets` says which there are. A table of this kind is dropped as a whole, so nothing in it is ever deleted by age.
"""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

_Big = BigInteger().with_variant(Integer, "sqlite")


def table_of_buckets(metadata: MetaData) -> Table:
    """
    `buckets`: a row for each of those tables.

    `group_name` is NULL for history, which is everybody's; `until` is later than every end in it; `first` is the lowest
    number its history may have; `retired_at` is when everybody stopped looking into it, so that it may be dropped.
    """
    return Table(
        "buckets",
        metadata,
        Column("number", _Big, primary_key=True),
        Column("group_name", Text),
        Column("until", Float, nullable=False),
        Column("first", _Big, nullable=False),
        Column("retired_at", Float),
        sqlite_autoincrement=True,
    )


@lru_cache(maxsize=1024)
def marks_table(number: int, *, hashed: bool = False) -> Table:
    """
    Done-marks: a row is all that's left of a message once its history has had its time.

    `tag` and `digest` are hashes, see `known`; `number` is that of its row in the history. The widest columns come
    first, as PostgreSQL aligns them.

    Args:
        hashed: found by a hash of the key, as on PostgreSQL: a third smaller than a tree of keys, and written in two
            thirds of the time. The key is unique without it, as whoever writes is alone.
    """
    name = f"done_{number}"
    found = [Index(f"{name}_key", "key", postgresql_using="hash")] if hashed else []
    return Table(
        name,
        MetaData(),
        Column("number", _Big, nullable=False),
        Column("digest", _Big),
        Column("tag", Integer),
        Column("state", SmallInteger, nullable=False),
        Column("key", LargeBinary, nullable=False, primary_key=not hashed),
        *found,
        sqlite_with_rowid=False,
    )


@lru_cache(maxsize=1024)
def history_table(number: int) -> Table:
    """What people read of messages that ended, in the order of their ends."""
    table = Table(
        f"history_{number}",
        MetaData(),
        Column("number", _Big, primary_key=True, autoincrement=False),
        Column("key", LargeBinary, nullable=False),
        Column("route", Integer, nullable=False),
        Column("message_id", Text, nullable=False),
        Column("source", Integer, nullable=False),
        Column("batch", Text),
        Column("digest", Text),
        Column("state", Integer, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("published_at", Float),
        Column("claimed_at", Float),
        Column("ended_at", Float, nullable=False),
        Column("owner", Text, nullable=False),
    )
    has_batch = table.c.batch.is_not(None)
    Index(f"history_{number}_batch", table.c.batch, sqlite_where=has_batch, postgresql_where=has_batch)
    return table
