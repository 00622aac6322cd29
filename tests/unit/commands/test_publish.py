# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay publish`: what was typed is on the queue as it was typed, or nothing is."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import pytest

from tickrelay_messaging import envelope
from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.errors import BrokerUnavailable, PublishUnconfirmed
from tickrelay_messaging.message import Message


def _queued(broker: Broker, queue: str = "orders") -> list[Message]:
    return [envelope.decode(one.headers, one.body) for one in broker.peek(queue, limit=10_000)]


def test_one_message_with_everything(tick: Any, broker: Broker) -> None:
    """Every option arrives in its place, and the body is byte for byte what was typed."""
    answer = tick(
        "publish", "orders", '{"price": 1.10}', "--id", "m1", "--key", "k", "--header", "a=b=c",
        "--type", "order.new", "--deliver-at", "2030-01-31T08:00:00+02:00",
    )  # fmt: skip

    (message,) = _queued(broker)
    assert (0, "m1\n") == (answer.code, answer.out)
    assert ("m1", b'{"price": 1.10}', "k", "order.new") == (
        message.id,
        message.body,
        message.key,
        message.type,
    )
    assert {"a": "b=c"} == message.headers
    assert message.deliver_at is not None
    assert "2030-01-31T06:00:00+00:00" == message.deliver_at.astimezone(UTC).isoformat()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{'a': 1}"], "not strict JSON"),
        (["NaN"], "NaN"),
        (['{"a":1,"a":2}'], "twice"),
        ([""], "it is empty"),
        ([], "no data"),
        (["1", "--header", "novalue"], "NAME=VALUE"),
        (["1", "--deliver-at", "tomorrow"], "no instant"),
        (["1", "--deliver-at", "2030-01-31T08:00:00"], "no zone"),
        (["1", "--id", "a\nb"], "control character"),
        (["-", "--id", "x"], "--id-field"),
        (["[" * 100 + "]" * 100], "deeper than"),
    ],
)
def test_bad_call_publishes_nothing(tick: Any, broker: Broker, arguments: list[str], reason: str) -> None:
    """Each mistake in the call: exit code 2, its reason, an empty queue and nothing on standard output."""
    answer = tick("publish", "orders", *arguments)

    assert (2, "", []) == (answer.code, answer.out, _queued(broker))
    assert reason in answer.err


def test_unknown_queue_unless_declared(tick: Any, broker: Broker) -> None:
    """A queue nobody declared is an error; --declare makes it."""
    assert 2 == tick("publish", "new", "1").code
    assert 0 == tick("publish", "new", "1", "--declare").code
    assert [b"1"] == [message.body for message in _queued(broker, "new")]


def test_lines_are_published_in_order(tick: Any, broker: Broker) -> None:
    """One message a line; empty lines, a byte order mark and a missing last line break don't matter."""
    answer = tick("publish", "orders", "-", "--json", stdin=b'\xef\xbb\xbf{"n":1}\n\n  {"n":2}\r\n{"n":3}')

    ids = [json.loads(line)["id"] for line in answer.out.splitlines()]
    assert ids == [message.id for message in _queued(broker)]
    assert [{"n": 1}, {"n": 2}, {"n": 3}] == [message.data for message in _queued(broker)]


def test_bad_line_publishes_nothing_of_its_batch(tick: Any, broker: Broker) -> None:
    """A mistake names its line; an input of one batch isn't half published."""
    answer = tick("publish", "orders", "-", stdin='{"n":1}\n{"n":2}\n{oops}\n')

    assert (2, "", []) == (answer.code, answer.out, _queued(broker))
    assert "line 3: " in answer.err
    assert "nothing was published" in answer.err


def test_long_input_says_where_to_go_on(tick: Any, broker: Broker) -> None:
    """After a mistake in a later batch the error names the lines that are published."""
    answer = tick("publish", "orders", "-", "--batch", "2", stdin="1\n2\n3\n4\noops\n")

    assert [1, 2, 3, 4] == [message.data for message in _queued(broker)]
    assert "line 5: " in answer.err
    assert "lines 1-4 (4 messages) are published" in answer.err


def test_line_over_the_limit_is_not_read_whole(tick: Any, broker: Broker) -> None:
    """A line that is too large is refused by its number."""
    answer = tick("publish", "orders", "-", stdin=b'"' + b"x" * (3 << 20) + b'"\n')

    assert 2 == answer.code
    assert "line 1: over the limit" in answer.err


def test_ids_from_a_field(tick: Any, broker: Broker) -> None:
    """--id-field takes each id from the data, so that doing it again is recognised."""
    assert "7\nb\n" == tick("publish", "orders", "-", "--id-field", "n", stdin='{"n":7}\n{"n":"b"}\n').out
    assert "line 1: field 'n'" in tick("publish", "orders", "-", "--id-field", "n", stdin='{"m":7}\n').err


def test_raw_bytes_stay_as_they_are(tick: Any, broker: Broker) -> None:
    """--raw publishes bytes that aren't JSON, from standard input as one message."""
    tick("publish", "orders", "-", "--raw", stdin=b"\x00\xff\nline")
    tick("publish", "orders", "plain text", "--raw")

    assert [(b"\x00\xff\nline", None), (b"plain text", None)] == [
        (one.body, one.content_type) for one in _queued(broker)
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokerUnavailable("broker is gone"), "nothing was published"),
        (PublishUnconfirmed("late", ["x"]), "may or may not be"),
    ],
)
def test_broker_that_fails_is_exit_one(
    tick: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """A broker's failure is told with what is known about the messages, exit code 1."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(broker), "publish", fail)
    answer = tick("publish", "orders", "-", stdin="1\n")

    assert 1 == answer.code
    assert said in answer.err
