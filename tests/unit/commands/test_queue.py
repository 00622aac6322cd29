# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay queue`: what it shows is true, and it takes nothing away unasked."""

from __future__ import annotations

from typing import Any

from tickrelay_messaging.brokers import Broker, QueueSpec
from tickrelay_messaging.message import Message


def test_list_shows_every_group(tick: Any, broker: Broker, kill: Any) -> None:
    """A row a group: ready at the broker, dead in the ledger."""
    broker.declare(QueueSpec("mail", ("a", "b")))
    broker.publish("orders", [Message.of(1), Message.of(2)])
    kill(Message.of(3))

    found = tick("queue", "list", "--json").json

    assert [("mail", "a"), ("mail", "b"), ("orders", "default")] == sorted(
        (row["queue"], row["group"]) for row in found
    )
    (orders,) = [row for row in found if row["queue"] == "orders"]
    assert (2, 0, 1, 0) == (orders["ready"], orders["in_flight"], orders["dead"], orders["waiting"])
    assert "orders" in tick("queue", "list").out


def test_list_works_without_a_ledger(tick: Any, broker: Broker) -> None:
    """The broker's part is shown where no ledger can be asked, with a warning on standard error only."""
    answer = tick("queue", "list", "--json")

    assert [None] == [row["dead"] for row in answer.json]
    assert "warning: without the ledger's part" in answer.err


def test_show_names_groups_and_handlers(tick: Any, broker: Broker, kill: Any) -> None:
    """One queue: groups from the broker, handlers from the ledger."""
    kill(Message.of(1))

    found = tick("queue", "show", "orders", "--json").json

    assert ["default"] == [group["group"] for group in found["groups"]]
    assert [("sync_order", 1, 1)] == [(one["handler"], one["dead"], one["died"]) for one in found["handlers"]]
    assert "sync_order (default)" in tick("queue", "show", "orders").out


def test_unknown_queue_is_the_callers_error(tick: Any, broker: Broker) -> None:
    """Every command that names a queue says that there is none, with exit code 2."""
    for line in (["show"], ["peek"], ["purge", "--yes"]):
        answer = tick("queue", line[0], "nope", *line[1:])

        assert 2 == answer.code, answer
        assert "nope" in answer.err


def test_peek_takes_nothing_away(tick: Any, broker: Broker) -> None:
    """Peeking twice shows the same, pages continue behind a position, and everything stays ready."""
    broker.publish("orders", [Message.of({"n": n}, id=f"m{n}") for n in range(3)])

    first = tick("queue", "peek", "orders", "--limit", "2", "--json").json
    again = tick("queue", "peek", "orders", "--limit", "2", "--json").json
    rest = tick("queue", "peek", "orders", "--after", first[-1]["position"], "--json").json

    assert first == again
    assert ["m0", "m1", "m2"] == [one["headers"]["ce_id"] for one in first + rest]
    assert 3 == broker.stats("orders")[0].ready


def test_peek_escapes_what_a_payload_says_to_a_terminal(tick: Any, broker: Broker) -> None:
    """No byte of a body reaches the terminal as a command."""
    broker.publish("orders", [Message(id="m", body=b'"\x1b[2J\x1b]0;owned\x07"')])

    text, document = tick("queue", "peek", "orders"), tick("queue", "peek", "orders", "--json")

    assert "\x1b" not in text.out + document.out
    assert "\\x1b[2J" in text.out
    assert '"\x1b[2J\x1b]0;owned\x07"' == document.json[0]["body"]


def test_peek_shows_bytes_as_hex_and_cuts_long_bodies(tick: Any, broker: Broker) -> None:
    """What isn't UTF-8 is shown in hex; a long body is cut with a note, `--full` isn't."""
    broker.publish("orders", [Message(id="m", body=b"\xff\xfe", content_type=None), Message.of("x" * 5_000)])

    binary, long = tick("queue", "peek", "orders", "--json").json

    assert "ff fe" == binary["body_hex"]
    assert (5_002, 3_002) == (long["bytes"], long["cut"])
    assert "3,002 bytes more" in tick("queue", "peek", "orders").out
    assert 0 == tick("queue", "peek", "orders", "--full", "--json").json[1]["cut"]


def test_declare_makes_a_queue_and_adds_groups(tick: Any) -> None:
    """Declaring makes the file, the queue and its groups; again it only adds."""
    assert ["default"] == tick("queue", "declare", "jobs", "--json").json["groups"]
    assert ["billing", "default"] == tick("queue", "declare", "jobs", "--group", "billing", "--json").json[
        "groups"
    ]
    assert 2 == tick("queue", "declare", "a b").code


def test_purge_needs_a_yes(tick: Any, broker: Broker) -> None:
    """Without a terminal purge refuses, saying how many it would drop; with --yes it says how many it did."""
    broker.publish("orders", [Message.of(1), Message.of(2)])

    refused = tick("queue", "purge", "orders")
    assert (2, 2) == (refused.code, broker.stats("orders")[0].ready)
    assert "Drop 2 messages" in refused.err
    assert "--yes" in refused.err

    assert 2 == tick("queue", "purge", "orders", "--yes", "--json").json["purged"]
    assert 0 == broker.stats("orders")[0].ready


def test_purge_asks_which_group(tick: Any, broker: Broker) -> None:
    """A queue with several groups is never purged without naming one."""
    broker.declare(QueueSpec("mail", ("a", "b")))

    assert "--group: a, b" in tick("queue", "purge", "mail", "--yes").err
    assert "no group c" in tick("queue", "purge", "mail", "--group", "c", "--yes").err
    assert 0 == tick("queue", "purge", "mail", "--group", "b", "--yes").code
