# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay queue`: what it shows is true, and it takes nothing away unasked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tickrelay_consumer.commands import _queue_groups
from tickrelay_messaging.brokers import Broker, QueueSpec
from tickrelay_messaging.brokers.sqlite import SqliteBroker
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


def test_lanes_are_declared_and_shown(tick: Any, broker: Broker) -> None:
    """A queue is declared with lanes, keeps them, and `show` and the JSON of `list` say how many there are."""
    assert 8 == tick("queue", "declare", "jobs", "--lanes", "8", "--json").json["lanes"]
    assert 8 == tick("queue", "declare", "jobs", "--group", "audit", "--json").json["lanes"]
    assert 2 == tick("queue", "declare", "jobs", "--lanes", "9").code

    rows = tick("queue", "list", "--json").json
    assert {("jobs", 8), ("orders", 0)} == {(row["queue"], row["lanes"]) for row in rows}
    assert 8 == tick("queue", "show", "jobs", "--json").json["lanes"]
    assert "queue jobs, 8 lanes" in tick("queue", "show", "jobs").out


def test_what_nobody_knows_is_a_question_mark(
    tick: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the broker can't tell what is in flight, tables say `?` and JSON null, and no number is made up."""
    known = SqliteBroker.stats
    monkeypatch.setattr(
        SqliteBroker,
        "stats",
        lambda self, queue: [replace(row, in_flight=None) for row in known(self, queue)],
    )

    for line in (["list"], ["show", "orders"]):
        assert "?" in tick("queue", *line).out
    assert None is tick("queue", "list", "--json").json[0]["in_flight"]
    assert "--yes" in tick("queue", "forget", "orders", "default").err
    assert "0 messages ready or in flight" in tick("queue", "forget", "orders", "default", "--yes").err


def test_forget_asks_before_it_drops(tick: Any, broker: Broker) -> None:
    """A group that holds messages is only ended with a yes; what was dropped is said; others keep theirs."""
    broker.declare(QueueSpec("orders", ("default", "audit", "empty")))
    broker.publish("orders", [Message.of(1), Message.of(2)])
    with broker.subscribe("orders", "audit") as subscription:
        subscription.receive(1)
        refused = tick("queue", "forget", "orders", "audit")
        assert (2, True) == (refused.code, "1 message ready and 1 in flight" in refused.err)
        dropped = tick("queue", "forget", "orders", "audit", "--yes", "--json").json
    assert (1, 1) == (dropped["ready"], dropped["in_flight"])
    assert 2 == broker.stats("orders")[0].ready
    assert "no group audit" in tick("queue", "forget", "orders", "audit", "--yes").err


def test_an_empty_group_is_forgotten_unasked(tick: Any, broker: Broker) -> None:
    """Where nothing can be lost nobody is asked."""
    broker.declare(QueueSpec("orders", ("default", "audit")))

    assert 0 == tick("queue", "forget", "orders", "audit").code
    assert ["default"] == [row.group for row in broker.stats("orders")]


def test_a_broker_that_cannot_replay_says_so(tick: Any, broker: Broker) -> None:
    """The command passes the broker's own words on, with exit code 2."""
    answer = tick("queue", "replay", "orders")

    assert 2 == answer.code
    assert "keeps no acknowledged messages to replay" in answer.err


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ("yesterday", "write 2026-11-23T10:00:00Z, or 2h"),
        ("2026-11-23T10:00:00", "says no zone"),
        ("", "write"),
    ],
)
def test_a_replay_begins_at_an_instant(tick: Any, broker: Broker, since: str, reason: str) -> None:
    """What is neither an instant with a zone nor a duration is refused before the broker is asked."""
    answer = tick("queue", "replay", "orders", "--since", since)

    assert 2 == answer.code
    assert reason in answer.err


@pytest.mark.parametrize(
    ("since", "seconds"), [("90s", 90), ("30min", 1_800), ("30m", 1_800), ("2h", 7_200), ("1.5d", 129_600)]
)
def test_so_long_ago_is_an_instant(since: str, seconds: float) -> None:
    """A duration counts back from now."""
    assert 1_000_000 - seconds == _queue_groups._begin(since, 1_000_000)
