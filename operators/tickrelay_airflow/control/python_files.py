# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Where in a Python file a schedule is written, for people who change it by hand."""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """
    A line to change.

    Attributes:
        line: from 1.
        old: the line as it is.
        new: as it should be.
    """

    line: int
    old: str
    new: str


def find(source: str, expression: str, wanted: str) -> list[Place]:
    """
    The places where a `CronSchedule` is made of an expression written out; none if it is put together elsewhere.

    Args:
        wanted: what is to stand in its place.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "CronSchedule"
    ]
    found = [text for call in calls if (text := _expression(call)) is not None and text.value == expression]
    return [place for text in found if (place := _place(source, text, wanted)) is not None]


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _expression(call: ast.Call) -> ast.Constant | None:
    named = [word.value for word in call.keywords if word.arg == "expression"]
    first = [*call.args[:1], *named]
    return first[0] if first and isinstance(first[0], ast.Constant) else None


def _place(source: str, text: ast.Constant, wanted: str) -> Place | None:
    if text.end_lineno != text.lineno or text.end_col_offset is None:
        return None
    # Columns count bytes.
    line = source.splitlines()[text.lineno - 1].encode()
    literal = line[text.col_offset : text.end_col_offset]
    quote = literal[-1:].decode()
    fresh = quote + wanted + quote
    new = line[: text.col_offset] + fresh.encode() + line[text.end_col_offset :]
    return Place(text.lineno, line.decode().strip(), new.decode().strip())
