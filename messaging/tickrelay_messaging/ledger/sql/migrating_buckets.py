# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A migration step of its own: done-marks and history in tables that are dropped whole. Never changed once released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Connection, Float, Integer, LargeBinary, SmallInteger, Text, text

from tickrelay_messaging.ledger.sql.known import digest_of, tag_of

_Big = BigInteger().with_variant(Integer, "sqlite")
_CHUNK = 5_000
_ENTER = text("INSERT INTO buckets (number, group_name, until, first) VALUES (:number, :group, :until, 1)")
_OLD = text(
    "SELECT h.number, h.key, h.state, h.batch, h.digest, r.group_name FROM history_1 h "
    "JOIN done d ON d.key = h.key AND d.history = h.number JOIN routes r ON r.number = h.route "
    "WHERE h.number > :after ORDER BY h.number LIMIT :limit"
)
_MARK = "INSERT INTO done_{} (key, number, state, tag, digest) VALUES (:key, :number, :state, :tag, :digest)"


def to_buckets(operations: Operations) -> None:
    """The history there is becomes the first bucket of it; the marks, one of each group."""
    connection = operations.get_bind()
    operations.create_table(
        "buckets",
        Column("number", _Big, primary_key=True),
        Column("group_name", Text),
        Column("until", Float, nullable=False),
        Column("first", _Big, nullable=False),
        Column("retired_at", Float),
        sqlite_autoincrement=True,
    )
    _rename_history(operations)
    last = connection.execute(text("SELECT max(ended_at) FROM history_1")).scalar() or 0.0
    named = connection.execute(text("SELECT DISTINCT group_name FROM routes ORDER BY group_name"))
    groups = {group: number for number, group in enumerate(named.scalars().all(), 2)}
    for number, group in ((1, None), *((number, group) for group, number in groups.items())):
        connection.execute(_ENTER, {"number": number, "group": group, "until": last + 1})
        if group is not None:
            _create_marks(operations, number)
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT setval(pg_get_serial_sequence('buckets', 'number'), :last)"),
            {"last": 1 + len(groups)},
        )
    for rows in _old_marks(connection):
        _enter_marks(connection, groups, rows)
    operations.drop_table("done")


def _rename_history(operations: Operations) -> None:
    where = text("batch IS NOT NULL")
    operations.drop_index("history_batch", "history")
    operations.rename_table("history", "history_1")
    operations.create_index(
        "history_1_batch", "history_1", ["batch"], sqlite_where=where, postgresql_where=where
    )


def _create_marks(operations: Operations, number: int) -> None:
    is_hashed = operations.get_bind().dialect.name == "postgresql"
    operations.create_table(
        f"done_{number}",
        Column("number", _Big, nullable=False),
        Column("digest", _Big),
        Column("tag", Integer),
        Column("state", SmallInteger, nullable=False),
        Column("key", LargeBinary, nullable=False, primary_key=not is_hashed),
        sqlite_with_rowid=False,
    )
    if is_hashed:
        operations.create_index(f"done_{number}_key", f"done_{number}", ["key"], postgresql_using="hash")


def _old_marks(connection: Connection) -> Iterator[Sequence[Any]]:
    after = 0
    while rows := connection.execute(_OLD, {"after": after, "limit": _CHUNK}).all():
        yield rows
        after = rows[-1].number


def _enter_marks(connection: Connection, groups: dict[str, int], rows: Sequence[Any]) -> None:
    given: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        mark = {"tag": tag_of(row.batch), "digest": digest_of(row.digest)}
        mark |= {"key": row.key, "number": row.number, "state": row.state}
        given.setdefault(groups[row.group_name], []).append(mark)
    for number, marks in given.items():
        connection.execute(text(_MARK.format(number)), marks)
