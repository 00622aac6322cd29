# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay dead`: exactly what was selected is touched, and never everything by accident."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Any

import pytest

from tickrelay_consumer.commands import _dead_replaying as replaying
from tickrelay_consumer.commands._dead_replaying import in_pages
from tickrelay_consumer.rate import Rate
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import DeadFilter, DeadGroup, Failure, Route
from tickrelay_messaging.message import Message


@pytest.fixture
def numbers(tick: Any, kill: Any) -> list[int]:
    """Three dead letters: two ValueErrors, then a KeyError."""
    kill(Message.of({"n": 1}, id="m1"))
    kill(Message.of({"n": 2}, id="m2"))
    kill(Message.of({"n": 3}, id="m3"), Failure("KeyError", "\x1b[31mprice", "Traceback: line 9"))
    return [row["number"] for row in tick("dead", "list", "--json").json]


def test_list_filters_and_pages(tick: Any, numbers: list[int]) -> None:
    """Conditions narrow the list; --after continues behind a number."""
    assert ["m3"] == [row["message_id"] for row in tick("dead", "list", "--error", "KeyError", "--json").json]
    assert ["m2"] == [row["message_id"] for row in tick("dead", "list", "--id", "m2", "--json").json]
    assert numbers[1:] == [
        row["number"] for row in tick("dead", "list", "--after", str(numbers[0]), "--json").json
    ]
    assert [] == tick("dead", "list", "--queue", "other", "--json").json
    assert "1 of 3 dead letters; continue with" in tick("dead", "list", "--limit", "1").err


def test_list_is_clean_text(tick: Any, numbers: list[int]) -> None:
    """An error text can't command the terminal."""
    text = tick("dead", "list")

    assert "\x1b" not in text.out
    assert "m1" in text.out


def test_show_has_everything(tick: Any, numbers: list[int]) -> None:
    """One dead letter with payload, headers and stack, for people and as JSON."""
    found = tick("dead", "show", str(numbers[2]), "--json").json

    assert ("m3", "sync_order", '{"n":3}') == (found["message_id"], found["handler"], found["body"])
    assert "line 9" in found["stack"]
    assert "Traceback: line 9" in tick("dead", "show", str(numbers[2])).out


def test_unknown_number_is_an_error(tick: Any, numbers: list[int]) -> None:
    """A number that isn't there is named, exit code 1, and the others aren't touched."""
    assert 1 == tick("dead", "show", "999").code
    answer = tick("dead", "replay", str(numbers[0]), "999")

    assert (1, 3) == (answer.code, len(tick("dead", "list", "--json").json))
    assert "no dead letter 999" in answer.err


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_everything_must_be_meant(tick: Any, numbers: list[int], verb: str) -> None:
    """No selection is refused; --all beside a selection is refused too."""
    assert (
        2 == tick("dead", verb, "--reason", "x", "--yes").code
        if verb == "discard"
        else tick("dead", verb).code
    )
    assert 2 == tick("dead", verb, "--all", "--queue", "orders").code
    assert 3 == len(tick("dead", "list", "--json").json)


def test_dry_run_only_counts(tick: Any, numbers: list[int]) -> None:
    """--dry-run says how many match and changes nothing."""
    for verb in ("replay", "discard"):
        found = tick("dead", verb, "--error", "ValueError", "--dry-run", "--json").json
        assert (2, True) == (found["matching"], found["dry_run"])

    assert 3 == len(tick("dead", "list", "--json").json)


def test_replay_is_idempotent(tick: Any, numbers: list[int], ledger: Ledger) -> None:
    """What was replayed waits again; a second replay finds nothing, which is no error."""
    assert 2 == tick("dead", "replay", "--error", "ValueError", "--json").json["replayed"]
    assert 0 == tick("dead", "replay", "--error", "ValueError", "--json").json["replayed"]
    assert 1 == ledger.dead_letters.count(DeadFilter())
    assert 2 == ledger.history.stats()[0].waiting


def test_discard_needs_reason_and_yes(tick: Any, numbers: list[int]) -> None:
    """Giving up needs a reason for the audit trail, and a yes."""
    number = str(numbers[0])
    assert "--reason is needed" in tick("dead", "discard", number, "--yes").err
    assert "--yes" in tick("dead", "discard", number, "--reason", "test").err
    assert 1 == tick("dead", "discard", number, "--reason", "test order", "--yes", "--json").json["discarded"]
    assert 1 == tick("dead", "show", number).code


def test_who_did_it_is_known(tick: Any, kill: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit trail gets the user's name, or the number where there is none."""
    kill(Message.of(1))
    seen: list[str] = []
    rooms = type(ledger.dead_letters)
    monkeypatch.setattr(rooms, "replay", lambda _self, _where, *, by: seen.append(by) or 1)
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    tick("dead", "replay", "--all")
    monkeypatch.setattr("getpass.getuser", lambda: {}["nobody"])
    tick("dead", "replay", "--all")

    assert f"cli:ann@{socket.gethostname()}" == seen[0]
    assert seen[1].startswith("cli:uid ")


def test_groups_are_shown(tick: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """By handler, reason and class of error, with an example; conditions are handed on, and instants are readable."""
    asked: list[DeadFilter] = []
    group = DeadGroup(
        route=Route("orders", "default", "sync_order"), reason="failed", kind="ValueError",
        count=2_000, oldest=1.8e9, newest=1.8e9 + 60, example="\x1b[31mno such order",
    )  # fmt: skip

    def groups(_self: object, where: DeadFilter) -> list[DeadGroup]:
        asked.append(where)
        return [group]

    monkeypatch.setattr(type(ledger.dead_letters), "groups", groups)
    (found,) = tick("dead", "groups", "--queue", "orders", "--kind", "ValueError", "--json").json
    text = tick("dead", "groups")

    assert (2000, "ValueError", "sync_order") == (found["count"], found["kind"], found["handler"])
    assert "2027-01-15T08:00:00.000Z" == found["oldest"]
    assert DeadFilter(queue="orders", kind="ValueError") == asked[0]
    assert "2,000" in text.out
    assert "\x1b" not in text.out
    assert "--kind CLASS" in text.err


def test_a_rate_is_kept(
    tick: Any, numbers: list[int], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pages with pauses between them; all are replayed in the end, and a rate must be one."""
    pauses: list[float] = []
    monkeypatch.setattr(replaying, "_sleep", lambda seconds, _stopped: pauses.append(seconds))
    assert 3 == tick("dead", "replay", "--all", "--rate", "10/s", "--json").json["replayed"]
    assert [pytest.approx(0.1)] * 2 == pauses
    assert 2 == tick("dead", "replay", "--all", "--rate", "fast").code


def test_ctrl_c_stops_between_pages(tick: Any, numbers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What wasn't replayed stays a dead letter, and it says how many were."""
    monkeypatch.setattr(replaying, "PAGE", 1)
    monkeypatch.setattr(replaying, "_sleep", lambda _seconds, _stopped: os.kill(os.getpid(), signal.SIGINT))
    answer = tick("dead", "replay", "--all", "--rate", "10/s", "--json")

    assert (130, 1, True) == (answer.code, answer.json["replayed"], answer.json["stopped"])
    assert numbers[1:] == [row["number"] for row in tick("dead", "list", "--json").json]
    assert "stopped: replayed 1 of 2" in tick("dead", "replay", "--all", "--rate", "10/s").err


def test_a_pause_ends_with_the_signal() -> None:
    """Nobody waits out a pause of hours."""
    began = time.monotonic()
    hits: list[int] = []

    def change(_where: DeadFilter) -> int:
        if not hits:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
        hits.append(1)
        return 1

    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        progress = in_pages([1, 2], change, Rate(1, 3600))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (1, True) == (progress.changed, progress.stopped)
    assert time.monotonic() - began < 60


def test_two_people_replay_each_letter_once(tick: Any, numbers: list[int], ledger: Ledger) -> None:
    """What somebody else replayed between two pages isn't counted, nor replayed twice."""
    taken = [0]

    def change(where: DeadFilter) -> int:
        ledger.dead_letters.replay(DeadFilter(numbers=(numbers[1],)), by="somebody else")
        taken[0] += 1
        return ledger.dead_letters.replay(where, by="me")

    progress = in_pages(numbers, change, Rate(10, 1))
    assert (3, 2) == (taken[0], progress.changed)
    assert 3 == ledger.history.stats()[0].waiting


def test_no_ledger_is_one_clear_line(tick: Any) -> None:
    """Without a ledger there is nothing to list: exit code 2, and how to name one."""
    answer = tick("dead", "list")

    assert 2 == answer.code
    assert "--ledger or TICKRELAY_LEDGER" in answer.err
