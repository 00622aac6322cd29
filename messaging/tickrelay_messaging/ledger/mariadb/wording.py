# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
How the ledger's tables are made here: MySQL's FLOAT has 4 bytes, its TEXT can't be a key, and how it compares text is
up to whoever made the database.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Dialect, Index, LargeBinary, Table, Text
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.schema import CreateIndex

_NAME = 255
"""Characters of a text that is a key; three of them fit one index."""
_KEY = 64
"""Bytes of a key; the ledger's have 16."""
_PREFIX = 191
"""Characters of a longer text that an index looks at."""


def fit(dialect: Dialect) -> None:
    """Let one engine's dialect make tables as the ledger needs them; nobody else's is touched."""
    dialect.type_compiler_instance = _Types(dialect)
    dialect.ddl_compiler = _Ddl


def _is_key(column: Column[Any] | None) -> bool:
    """In the primary key or unique."""
    if column is None or column.table is None:
        return False
    table = column.table
    assert isinstance(table, Table)
    unique = [constraint for constraint in table.constraints if hasattr(constraint, "columns")]
    return any(column.name in constraint.columns for constraint in unique)


def _is_indexed(column: Column[Any] | None) -> bool:
    if column is None or not isinstance(column.table, Table):
        return False
    return any(column.name in index.columns for index in column.table.indexes)


class _Types(MySQLTypeCompiler):
    """Called with the column whose type it is."""

    def visit_text(self, type_: Any, type_expression: Any = None, **_: Any) -> str:  # noqa: ARG002
        return f"VARCHAR({_NAME})" if _is_key(type_expression) else "LONGTEXT"

    def visit_large_binary(self, type_: Any, type_expression: Any = None, **_: Any) -> str:  # noqa: ARG002
        short = _is_key(type_expression) or _is_indexed(type_expression)
        return f"VARBINARY({_KEY})" if short else "LONGBLOB"

    def visit_float(self, type_: Any, **_: Any) -> str:  # noqa: ARG002
        return "DOUBLE"

    visit_TEXT, visit_BLOB, visit_FLOAT = visit_text, visit_large_binary, visit_float  # noqa: N815


class _Ddl(MySQLDDLCompiler):
    """Text is compared by its bytes, spaces at its end included, as everywhere else."""

    def post_create_table(self, table: Table) -> str:  # noqa: ARG002 - they are all the same
        bytewise = "utf8mb4_nopad_bin" if self.dialect.is_mariadb else "utf8mb4_0900_bin"
        return f" ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={bytewise}"

    def visit_create_index(self, create: CreateIndex, **kw: Any) -> str:  # type: ignore[override]
        index: Index = create.element
        long = [
            column.name for column in index.columns if isinstance(column.type, Text) and not _is_key(column)
        ]
        if long and not isinstance(index.columns[0].type, LargeBinary):
            index.dialect_options["mysql"]["length"] = dict.fromkeys(long, _PREFIX)
            index.dialect_options["mariadb"]["length"] = dict.fromkeys(long, _PREFIX)
        return super().visit_create_index(create, **kw)
