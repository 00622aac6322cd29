# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""JSON as RFC 8259 means it: no NaN, no key twice, no lone surrogate, no nesting that could exhaust a stack."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
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
        if isinstance(data, _CONTAINERS):
            _check(data, 1)
        return _encoder.encode(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"data can't be written as JSON: {error}") from error


def loads(body: bytes) -> Any:
    """
    The data of a JSON body.

    Raises:
        UndecodableMessage: it isn't UTF-8, isn't JSON, has a key twice, NaN or Infinity, or is nested too deeply.
    """
    try:
        if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_too_deep(body):
            raise UndecodableMessage(f"body is nested deeper than {MAX_DEPTH} levels")
        data = _read(body.decode())
        if b"\\" in body and (b"\\ud" in body or b"\\uD" in body):
            _encoder.encode(data).encode()  # fails where an escape is only one half of a surrogate pair
    except (ValueError, RecursionError) as error:
        if isinstance(error, UndecodableMessage):
            raise
        raise UndecodableMessage(f"body is not strict JSON: {error}") from error
    return data


def _read(text: str) -> Any:
    """As the decoder reads it, but for space around the text: two thirds of its time go into looking for that."""
    try:
        data, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return data if end == len(text) else _decoder.decode(text)


def _is_too_deep(body: bytes) -> bool:
    """Whether brackets outside of strings nest too deeply; linear in the body."""
    depth = 0
    for bracket in _NO_BRACKETS.sub(b"", body):
        if bracket in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif bracket in b"]}":
            depth -= 1
    return False


def _no_constant(name: str) -> Never:
    raise UndecodableMessage(f"body is not strict JSON: {name} is no JSON number")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UndecodableMessage(f"body is not strict JSON: key {twice!r} stands twice in one object")
    return found


def _check(data: Any, depth: int) -> None:
    """Refuse what JSON's writer would let pass: keys it turns into text (1 and "1" become one), and any depth."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(data, dict):
        for name in data:
            if type(name) is not str:
                raise TypeError(f"key {name!r} is not text")
        data = data.values()
    for value in data:
        if isinstance(value, _CONTAINERS):
            _check(value, depth + 1)


_CONTAINERS = (dict, list, tuple)
_NO_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^][{}"]++', re.DOTALL)
"""Whole strings, and whatever else is no bracket. A quote left over is a string without an end, refused later."""
_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_key_twice)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]  # the stub lacks it
"""Reads one value and says where it ends; raises StopIteration where there is none."""
