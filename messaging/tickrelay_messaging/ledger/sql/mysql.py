# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Our statements as MariaDB and MySQL word them: `key` is a reserved word there, and there are no arrays. So many rows
are one INSERT with many VALUES, one DELETE or UPDATE with a list of keys, or an UPDATE joined to a list of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

Row = Sequence[Any]

_MOST_ROWS = 512
_MOST_BYTES = 2 << 20
"""Of the values in one statement; written as text they have twice as many, and servers take 16 MiB."""
_KEY = re.compile(r"(?<![\w`])key(?![\w`])")
_IGNORE = re.compile(r"ON CONFLICT \(.*?\) DO NOTHING")
_INSERT = re.compile(r"(INSERT .* VALUES )(\(.*?\))( ON DUPLICATE KEY .*)?$", re.DOTALL)
_UPDATE = re.compile(r"UPDATE (\w+) SET (.*?) WHERE `key` = %s(.*)$", re.DOTALL)
_BY_KEY = "`key` = %s"


def speaks(connection: Connection) -> bool:
    """Whether there is MariaDB or MySQL behind it."""
    return connection.dialect.name in ("mysql", "mariadb")


@lru_cache(maxsize=512)
def worded(statement: str) -> str:
    """A statement with `?` and a bare `key`; capitals are the language's own words."""
    ours = _IGNORE.sub("ON DUPLICATE KEY UPDATE key = key", statement)
    ours = _KEY.sub("`key`", ours).replace("AS BIGINT)", "AS SIGNED)")
    return ours.replace("?", "%s")


def run(cursor: Any, by_row: str, rows: Sequence[Row]) -> None:
    """Carry out a statement for all rows, in as few as fit."""
    for chunk in _chunks(rows):
        cursor.execute(_for_rows(by_row, len(chunk)), [value for row in chunk for value in row])


@lru_cache(maxsize=1024)
def _for_rows(by_row: str, count: int) -> str:
    """The statement for so many rows; `?` and `key` as everywhere."""
    statement = worded(by_row)
    if found := _INSERT.match(statement):
        into, values, end = found.groups("")
        return into + ", ".join([values] * count) + end
    keys = f"`key` IN ({', '.join(['%s'] * count)})"
    if statement.count("%s") == 1:  # the key alone
        return statement.replace(_BY_KEY, keys)
    return _update_joined(statement, count)


def _update_joined(statement: str, count: int) -> str:
    """The given rows come first in the join, so that the table is looked up by key, never read as a whole."""
    found = _UPDATE.match(statement)
    assert found is not None, statement
    table, changes, condition = found.groups()
    fields = [f"given{number}" for number in range(changes.count("%s"))]
    for field in fields:
        changes = changes.replace("%s", field, 1)
    first = ", ".join(f"%s AS {name}" for name in [*fields, "given_key"])
    other = ", ".join(["%s"] * (len(fields) + 1))
    given = " UNION ALL ".join([f"SELECT {first}", *[f"SELECT {other}"] * (count - 1)])
    return (
        f"UPDATE ({given}) AS given STRAIGHT_JOIN {table} ON `key` = given_key "  # noqa: S608 - no data in it
        f"SET {changes} WHERE TRUE{condition}"
    )


def _chunks(rows: Sequence[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        weight = sum(len(value) for value in row if isinstance(value, str | bytes))
        if chunk and (len(chunk) == _MOST_ROWS or size + weight > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += weight
    if chunk:
        yield chunk
