# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages to headers and back: nothing is lost, and nothing a stranger sends breaks the reader."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickrelay_messaging.envelope import decode, encode
from tickrelay_messaging.errors import InvalidMessage, UndecodableMessage
from tickrelay_messaging.message import MAX_BODY, MAX_HEADERS, Message, check_publishable

FULL = Message(
    id="1",
    source="/a",
    type="t",
    body=b"{}",
    content_type="application/json",
    time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    subject="s",
    key="k",
    deliver_at=datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1))),
    expires=datetime(2027, 1, 1, tzinfo=UTC),
    extensions={"dagid": "d"},
    headers={"x-mine": "y"},
)

texts = st.text(max_size=20)
instants = st.none() | st.datetimes(timezones=st.timezones() | st.just(UTC))
messages = st.builds(
    Message,
    id=texts,
    source=texts,
    type=texts,
    body=st.binary(max_size=50),
    content_type=st.none() | texts,
    time=instants,
    subject=st.none() | texts,
    key=st.none() | texts,
    deliver_at=instants,
    expires=instants,
    extensions=st.dictionaries(
        st.text("abcdeilmprstuvwxyz019", max_size=8) | st.just("time"), texts, max_size=3
    ),
    headers=st.dictionaries(
        texts | st.sampled_from(["ce_x", "content-type", "Content-Type", "ce"]), texts, max_size=3
    ),
)


@given(messages, st.sampled_from(["ce_", "ce-", "cloudEvents_", "cloudEvents:"]))
def test_what_may_be_published_comes_back(message: Message, prefix: str) -> None:
    """Whatever `check_publishable` lets through is read back equal, under every prefix."""
    try:
        check_publishable(message)
    except InvalidMessage:
        return
    assert message == decode(encode(message, prefix), message.body)


@given(
    st.dictionaries(
        texts
        | st.sampled_from(
            ["ce_specversion", "ce-id", "ce_source", "cloudEvents_type", "ce_time", "ce_deliverat", "ce_"]
        )
        | st.sampled_from(["content-type", "Content-Type", "ce_datacontenttype", "cloudEvents:expires"]),
        texts
        | st.sampled_from(["1.0", "2026-01-01", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-12:00"]),
        max_size=12,
    ),
    st.binary(max_size=20),
)
def test_strangers_headers_are_a_message_or_undecodable(headers: dict[str, str], body: bytes) -> None:
    """Decoding gives a message that keeps the body, or raises UndecodableMessage; never anything else."""
    with suppress(UndecodableMessage):
        assert body == decode(headers, body).body


def test_headers_are_cloudevents() -> None:
    """Every attribute stands in its header, instants in UTC with microseconds."""
    assert {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "/a",
        "ce_type": "t",
        "content-type": "application/json",
        "ce_time": "2026-01-02T03:04:05.678901+00:00",
        "ce_subject": "s",
        "ce_partitionkey": "k",
        "ce_deliverat": "2026-01-02T03:04:05.000000+00:00",
        "ce_expires": "2027-01-01T00:00:00.000000+00:00",
        "ce_dagid": "d",
        "x-mine": "y",
    } == encode(FULL)


def test_absent_attributes_have_no_header() -> None:
    """What is None isn't sent."""
    assert {"ce_specversion", "ce_id", "ce_source", "ce_type"} == set(
        encode(Message(id="1", content_type=None))
    )


@pytest.mark.parametrize("prefix", ["ce_", "ce-", "cloudEvents_", "cloudEvents:"])
def test_every_spelling_is_read(prefix: str) -> None:
    """Other CloudEvents publishers' prefixes are understood."""
    assert FULL == decode(encode(FULL, prefix), FULL.body)


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "ce_datacontenttype"])
def test_every_place_of_the_content_type_is_read(name: str) -> None:
    """The content type may stand in the transport's header or in the event's attribute."""
    headers = {**encode(replace(FULL, content_type=None)), name: "text/plain"}
    assert replace(FULL, content_type="text/plain") == decode(headers, FULL.body)


def test_a_doubled_content_type_leaves_nothing_behind() -> None:
    """Where both are given the transport's header counts, and the attribute doesn't become an extension."""
    headers = {**encode(FULL), "ce_datacontenttype": "text/plain"}
    assert FULL == decode(headers, FULL.body)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ce_specversion", "0.3", "CloudEvents 1.0"),
        ("ce_specversion", None, "CloudEvents 1.0"),
        ("ce_id", None, "attribute id"),
        ("ce_source", "", "attribute source"),
        ("ce_type", None, "attribute type"),
        ("ce_time", "yesterday", "attribute time: 'yesterday'"),
        ("ce_deliverat", "2026-01-01T00:00:00", "no offset"),
        ("ce_expires", "", "attribute expires"),
        ("x", "y" * 2 * MAX_HEADERS, "over the limit"),
    ],
)
def test_what_is_wrong_is_said(name: str, value: str | None, words: str) -> None:
    """A malformed envelope is undecodable, and the error names the attribute."""
    headers = {key: text for key, text in {**encode(FULL), name: value}.items() if text is not None}
    with pytest.raises(UndecodableMessage, match=words):
        decode(headers, b"")


def test_a_body_over_the_limit_is_undecodable() -> None:
    """A foreign publisher's giant never reaches a handler."""
    with pytest.raises(UndecodableMessage, match="over the limit"):
        decode(encode(FULL), bytes(MAX_BODY + 1))
