# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""JSON as RFC 8259 means it: no NaN, no key twice, no lone surrogate, no nesting that could exhaust a stack."""

from __future__ import annotations

import json
from typing import Any, Never

from tickrelay_messaging.errors import InvalidMessage, UndecodableMessage

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects that is read or written."""


def dumps(data: Any) -> bytes:
    """
    Data as compact UTF-8 JSON.

    Raises:
        InvalidMessage: data holds NaN, an unknown type, a key that isn't text, a cycle or too deep a nesting.
    """
    try:
        body = _encoder.encode(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"data can't be written as JSON: {error}") from error
    if _may_be_deep(body) and _depth(body) > MAX_DEPTH:
        raise InvalidMessage(f"data is nested deeper than {MAX_DEPTH} levels")
    return body


def loads(body: bytes) -> Any:
    """
    The data of a JSON body.

    Raises:
        UndecodableMessage: it isn't UTF-8, isn't JSON, has a key twice, NaN or Infinity, or is nested too deeply.
    """
    try:
        if _may_be_deep(body) and _depth(body) > MAX_DEPTH:
            raise UndecodableMessage(f"body is nested deeper than {MAX_DEPTH} levels")
        return _decoder.decode(body.decode())
    except (ValueError, RecursionError) as error:
        if isinstance(error, UndecodableMessage):
            raise
        raise UndecodableMessage(f"body is not strict JSON: {error}") from error


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > MAX_DEPTH


def _depth(body: bytes) -> int:
    """Deepest nesting, brackets inside strings left out; linear in the body."""
    depth = deepest = 0
    in_text = escaped = False
    for byte in body:
        if in_text:
            in_text = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _no_constant(name: str) -> Never:
    raise UndecodableMessage(f"body is not strict JSON: {name} is no JSON number")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UndecodableMessage(f"body is not strict JSON: key {twice!r} stands twice in one object")
    return found


# Keys that aren't text would be turned into text silently (1 -> "1"), so two keys could become one: `skipkeys=False`
# doesn't refuse them, hence `_TextKeys`.
class _TextKeys(json.JSONEncoder):
    def encode(self, o: Any) -> str:
        _refuse_other_keys(o, 0)
        return super().encode(o)


def _refuse_other_keys(data: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if type(data) is dict:
        for name, value in data.items():
            if type(name) is not str:
                raise TypeError(f"key {name!r} is not text")
            if type(value) is dict or type(value) is list:
                _refuse_other_keys(value, depth + 1)
    elif type(data) in (list, tuple):
        for value in data:
            if type(value) is dict or type(value) is list:
                _refuse_other_keys(value, depth + 1)


_encoder = _TextKeys(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_key_twice)
