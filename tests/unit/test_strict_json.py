# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""JSON as the RFC means it, beside Python's own as a yardstick."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickrelay_messaging.errors import InvalidMessage, UndecodableMessage
from tickrelay_messaging.strict_json import MAX_DEPTH, dumps, loads

finite = st.floats(allow_nan=False, allow_infinity=False)
data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | finite
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(data)
def test_data_comes_back(value: Any) -> None:
    """What is written is read back equal, and Python's own reader agrees."""
    body = dumps(value)
    assert value == loads(body)
    assert value == json.loads(body)


@given(st.binary(max_size=60) | st.text('[]{}",:0123\\eE+-.tfnu \n', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_undecodable(body: bytes) -> None:
    """Reading raises nothing but UndecodableMessage, and reads nothing that Python's reader refuses."""
    try:
        value = loads(body)
    except UndecodableMessage:
        return
    assert value == json.loads(body.decode())


@given(data)
def test_only_strictness_refuses_what_python_reads(value: Any) -> None:
    """Valid JSON in any layout is read."""
    assert value == loads(json.dumps(value, indent=1).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NaN",
        b"[Infinity]",
        b'{"a":-Infinity}',
        b'{"a":1,"a":1}',
        b'[{"x":{"b":1,"b":2}}]',
        b"\xff",
        b"\xef\xbb\xbf{}",
        '"x"'.encode("utf-16"),
        b"{'a':1}",
        b"[1,]",
        b"1 2",
        b"9" * 5000,
        b"[" * 100_000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_bad_json_is_undecodable(body: bytes) -> None:
    """Everything the RFC leaves open or attackers use is refused with our own error."""
    with pytest.raises(UndecodableMessage):
        loads(body)


def test_no_lone_surrogate_comes_in() -> None:
    """An escaped half of a surrogate pair is text that can't be written again; a whole pair is fine."""
    assert "🚀" == loads(b'"\\ud83d\\ude80"')
    for body in (b'"\\ud83d"', b'{"\\udc00":1}', b'["a",{"b":"x\\ud800y"}]'):
        with pytest.raises(UndecodableMessage):
            loads(body)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.inf],
        {"a": b"bytes"},
        {1: "a"},
        [{"x": {None: 1}}],
        ({1: 2},),
        [({"x": 1}, ({2: 3},))],
        {"a": {1, 2}},
        pytest.param(object(), id="object()"),
        "\ud800",
        {"\udfff": 1},
    ],
    ids=repr,
)
def test_bad_data_is_refused(value: Any) -> None:
    """What JSON can't say exactly is refused, at any depth."""
    with pytest.raises(InvalidMessage):
        dumps(value)


def test_keys_of_dict_subclasses_are_checked_too() -> None:
    """A subclass of dict doesn't slip a key through that isn't text."""

    class Mine(dict[Any, Any]):
        pass

    with pytest.raises(InvalidMessage):
        dumps(Mine({1: "a"}))


def test_a_cycle_is_refused() -> None:
    """Data that holds itself is no tree."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(InvalidMessage):
        dumps(cycle)


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_the_depth_has_a_limit_both_ways() -> None:
    """The deepest data that may be written may be read, and one level more may be neither."""
    body = dumps(nested(MAX_DEPTH))
    assert nested(MAX_DEPTH) == loads(body)
    with pytest.raises(InvalidMessage):
        dumps(nested(MAX_DEPTH + 1))
    with pytest.raises(UndecodableMessage):
        loads(b"[" + body + b"]")


def test_brackets_in_text_are_no_depth() -> None:
    """Only structure counts as nesting, whatever strings hold."""
    value = ['[{"\\' * 200, "]" * 99, "\\"]
    assert value == loads(dumps(value))
    assert [[1]] * 500 == loads(dumps([[1]] * 500))
