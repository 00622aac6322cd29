# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What may be published, and what a message says of its body."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tickrelay_messaging.errors import InvalidMessage, MessageTooLarge, UndecodableMessage
from tickrelay_messaging.message import MAX_BODY, MAX_HEADERS, Message, check_publishable, is_json


def test_of_writes_strict_json() -> None:
    """`Message.of` gives compact JSON, an aware time, and a new id at every call."""
    first, second = Message.of({"a": [1, "ü"]}), Message.of({"a": [1, "ü"]})
    assert '{"a":[1,"ü"]}'.encode() == first.body
    assert {"a": [1, "ü"]} == first.data
    assert first.id != second.id
    assert first.time is not None
    assert first.time.tzinfo is UTC


def test_of_takes_the_other_fields() -> None:
    """`Message.of` passes its other arguments on."""
    message = Message.of(1, id="x", key="k", extensions={"dagid": "d"})
    assert ("x", "k", {"dagid": "d"}) == (message.id, message.key, message.extensions)


def test_data_is_bytes_unless_json() -> None:
    """A body that doesn't claim to be JSON stays bytes; one that claims it falsely is undecodable."""
    assert b"\xff" == Message(id="x", body=b"\xff", content_type=None).data
    with pytest.raises(UndecodableMessage):
        _ = Message(id="x", body=b"\xff").data


@pytest.mark.parametrize(
    ("expected", "content_type"),
    [
        (True, "application/json"),
        (True, "Application/JSON; charset=utf-8"),
        (True, "application/vnd.orders+json"),
        (False, "application/jsonp"),
        (False, "text/plain"),
        (False, ""),
        (False, None),
    ],
)
def test_which_content_types_are_json(expected: bool, content_type: str | None) -> None:
    """JSON is known by its media type or its suffix, whatever the case and parameters."""
    assert expected == is_json(content_type)


@pytest.mark.parametrize(
    "message",
    [
        Message(id="x", body=b"x" * MAX_BODY),
        Message(id="x", headers={"h": "x" * (MAX_HEADERS - 100)}),
        Message(id="Größe 北京 🚀", headers={"x-content-type": "fine", "X-Céline": "ü"}),
        Message(id="x", time=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3)))),
    ],
)
def test_good_messages_pass(message: Message) -> None:
    """Everything up to the limits may be published."""
    check_publishable(message)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": ""}, "must not be empty"),
        ({"source": ""}, "must not be empty"),
        ({"type": ""}, "must not be empty"),
        ({"id": 7}, "must be text"),
        ({"body": "text"}, "bytes, not str"),
        ({"body": bytearray(b"x")}, "bytes, not bytearray"),
        ({"time": datetime(2026, 1, 1)}, "time must be an aware"),
        ({"deliver_at": "2026-01-01T00:00:00Z"}, "deliver_at must be an aware"),
        ({"expires": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))}, "out of range"),
        ({"subject": "a\nb"}, "control character"),
        ({"key": "\x00"}, "control character"),
        ({"id": "\ud800"}, "control character"),
        ({"content_type": "text/plain\r\nx: y"}, "control character"),
        ({"content_type": 7}, "must be text"),
        ({"headers": {"x": 1}}, "must be text"),
        ({"headers": {"x": None}}, "must be text"),
        ({"headers": {"x\n": "y"}}, "control character"),
        ({"headers": {"ce_id": "y"}}, "reserved"),
        ({"headers": {"CE-Source": "y"}}, "reserved"),
        ({"headers": {"cloudEvents:id": "y"}}, "reserved"),
        ({"headers": {"Content-Type": "y"}}, "reserved"),
        ({"extensions": {"dagId": "y"}}, "lower-case"),
        ({"extensions": {"dag_id": "y"}}, "lower-case"),
        ({"extensions": {"": "y"}}, "lower-case"),
        ({"extensions": {"id": "y"}}, "attribute of the message"),
        ({"extensions": {"deliverat": "y"}}, "attribute of the message"),
    ],
)
def test_bad_messages_are_refused(fields: dict[str, Any], words: str) -> None:
    """What no consumer could carry out is refused at the edge, by name of what is wrong."""
    with pytest.raises(InvalidMessage, match=words):
        check_publishable(Message(**{"id": "x", **fields}))


@pytest.mark.parametrize(
    "message",
    [
        Message(id="x", body=b"x" * (MAX_BODY + 1)),
        Message(id="x", headers={"h": "x" * MAX_HEADERS}),
        Message(id="x" * (MAX_HEADERS + 1)),
    ],
)
def test_too_large_is_an_error_of_its_own(message: Message) -> None:
    """A body or headers over the limit are told apart from other mistakes."""
    with pytest.raises(MessageTooLarge):
        check_publishable(message)


def test_a_broker_may_have_a_lower_limit() -> None:
    """`max_body` is the broker's."""
    with pytest.raises(MessageTooLarge, match="limit of 3"):
        check_publishable(Message(id="x", body=b"four"), 3)
