# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Statements for many rows at once, in one round trip: row by row where the database is in the process (`?` and
`executemany`), by arrays and `unnest` where it's on the network, which costs a fifth there. MariaDB and MySQL have no
arrays: see `mysql`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Double, Float, Integer, LargeBinary, Table, Text

from tickrelay_messaging.ledger.sql import mysql

Row = Sequence[Any]

_MOST_KEYS = 4_096
"""Parameters in one statement; a power of two, below every database's limit."""
_ARRAYS = {Text: "text[]", LargeBinary: "bytea[]", Integer: "bigint[]", Float: "float8[]", Double: "float8[]"}


def goes_by_row(connection: Connection) -> bool:
    """Whether its driver writes parameters as we do, `?`, and is in the process; else they are `%s`, on the network."""
    return connection.dialect.paramstyle == "qmark"


class Statement:
    """
    Args:
        by_row: with a `?` for each value of a row.
        by_column: with a `%b` for each column's array.
    """

    def __init__(self, by_row: str, by_column: str) -> None:
        self._by_row = by_row
        self._by_column = by_column

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Carry it out for all rows; for none, nothing."""
        if not rows:
            return
        cursor = connection.connection.cursor()
        if goes_by_row(connection):
            cursor.executemany(self._by_row, rows)
        elif mysql.speaks(connection):
            mysql.run(cursor, self._by_row, rows)
        else:
            cursor.execute(self._by_column, [list(column) for column in zip(*rows, strict=True)])


def insert_rows(
    table: Table, columns: str, *, constants: str = "", values: str = "", ignore: bool = False
) -> Statement:
    """
    New rows.

    Args:
        columns: names of those that each row gives, with spaces between.
        constants: further columns that have the same value in all rows, and in `values` what they are.
        ignore: a row whose key is there already is left out.
    """
    names = columns.split()
    into = f"INSERT INTO {table.name} ({', '.join([*names, *constants.split()])})"
    end = " ON CONFLICT (key) DO NOTHING" if ignore else ""
    fixed = "".join(f", {value}" for value in values.split())
    arrays = ", ".join(f"%b::{array_type(table, name)}" for name in names)
    return Statement(
        f"{into} VALUES ({', '.join('?' * len(names))}{fixed}){end}",
        f"{into} SELECT given.*{fixed} FROM unnest({arrays}) AS given{end}",  # noqa: S608 - no data in it
    )


def update_rows(table: Table, changes: str, given: str, where: str = "") -> Statement:
    """
    Changes by key.

    Args:
        changes: as behind SET, with a `?` for each value that the rows give.
        given: columns whose types these have, in order, with spaces between; the key comes last in each row.
        where: a further condition.
    """
    names = given.split()
    condition = f" AND {where}" if where else ""
    by_row = f"UPDATE {table.name} SET {changes} WHERE key = ?{condition}"  # noqa: S608 - no data in it
    if not names:
        return Statement(by_row, by_row.replace("key = ?", "key = ANY(%b)"))
    arrays = ", ".join(f"%b::{array_type(table, name)}" for name in [*names, "key"])
    fields = [f"given{number}" for number in range(len(names))]
    for field in fields:
        changes = changes.replace("?", field, 1)
    given_rows = f"unnest({arrays}) AS given({', '.join([*fields, 'given_key'])})"
    by_column = f"UPDATE {table.name} SET {changes} FROM {given_rows} WHERE key = given_key{condition}"  # noqa: S608
    return Statement(by_row, by_column)


def delete_rows(table: Table) -> Statement:
    """Rows by key."""
    delete = f"DELETE FROM {table.name} WHERE key"  # noqa: S608 - no data in it
    return Statement(f"{delete} = ?", f"{delete} = ANY(%b)")


def array_type(table: Table, column: str) -> str:
    """PostgreSQL's name of the type of a column's array; whole numbers are all sent with 64 bits."""
    found = table.c[column].type
    return next(name for kind, name in _ARRAYS.items() if isinstance(found, kind))


def select_by_key(
    connection: Connection, columns: str, table: str, keys: Sequence[bytes]
) -> dict[bytes, Any]:
    """Rows by key, which comes first in each."""
    return union_by_key(connection, {table: columns}, keys)


def union_by_key(
    connection: Connection, columns: Mapping[str, str], keys: Sequence[bytes]
) -> dict[bytes, Any]:
    """
    Rows of several tables by key, which comes first in each.

    Args:
        columns: by table; of the same types in all.
    """
    cursor = connection.connection.cursor()
    tables = tuple(columns.items())
    if not goes_by_row(connection) and not mysql.speaks(connection):
        cursor.execute(_select_any(tables), {"keys": list(keys)})
        return {row[0]: row for row in cursor.fetchall()}
    found: dict[bytes, Any] = {}
    for at in range(0, len(keys), _MOST_KEYS):
        chunk = keys[at : at + _MOST_KEYS]
        # Padded to a power of two, so that few statements are prepared rather than one for each length.
        size = 1 << (len(chunk) - 1).bit_length()
        padded = (*chunk, *(chunk[-1],) * (size - len(chunk)))
        if goes_by_row(connection):
            cursor.execute(_select_in(tables, size), padded)
        else:
            cursor.execute(mysql.worded(_select_in(tables, size, numbered=False)), padded * len(tables))
        found.update((row[0], row) for row in cursor.fetchall())
    return found


@lru_cache(maxsize=64)
def _select_any(tables: Sequence[tuple[str, str]]) -> str:
    return " UNION ALL ".join(
        f"SELECT key, {columns} FROM {table} WHERE key = ANY(%(keys)b)"  # noqa: S608 - no data in it
        for table, columns in tables
    )


@lru_cache(maxsize=256)
def _select_in(tables: Sequence[tuple[str, str]], count: int, *, numbered: bool = True) -> str:
    keys = ",".join(f"?{number}" if numbered else "?" for number in range(1, count + 1))
    return " UNION ALL ".join(
        f"SELECT key, {columns} FROM {table} WHERE key IN ({keys})"  # noqa: S608 - no data in it
        for table, columns in tables
    )
