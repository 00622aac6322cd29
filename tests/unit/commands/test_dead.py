# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay dead`: exactly what was selected is touched, and never everything by accident."""

from __future__ import annotations

from typing import Any

import pytest

from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import DeadFilter, Failure
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

    assert "cli:ann" == seen[0]
    assert seen[1].startswith("cli:uid ")


def test_no_ledger_is_one_clear_line(tick: Any) -> None:
    """Without a ledger there is nothing to list: exit code 2, and how to name one."""
    answer = tick("dead", "list")

    assert 2 == answer.code
    assert "--ledger or TICKRELAY_LEDGER" in answer.err
