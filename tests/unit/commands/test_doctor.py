# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay doctor`: finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from tickrelay_consumer.commands import _checks
from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.message import Message


@pytest.fixture(autouse=True)
def own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the other distributions' commands takes seconds and is tested with them."""
    monkeypatch.setattr(_checks, "discover", dict)


def _by_name(answer: Any) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["status"], check["remedy"]) for check in answer.json["checks"]}


def test_healthy(tick: Any, broker: Broker, ledger: Ledger) -> None:
    """Everything in order: exit code 0, and the ledger's id is named."""
    answer = tick("doctor", "--json")

    assert (0, True) == (answer.code, answer.json["healthy"])
    assert {"ok"} == {
        _by_name(answer)[name][0] for name in ("python", "clock", "broker", "ledger", "dead letters")
    }
    assert ("ok", "") == _by_name(answer)["ledger durability"]
    assert ledger.id in answer.out
    assert 0 == tick("doctor").code


def test_changes_nothing(tick: Any, broker: Broker, ledger: Ledger) -> None:
    """No queue is declared and no message is published for the sake of a check."""
    tick("doctor")

    assert ["orders"] == [spec.name for spec in broker.queues()]
    assert 0 == broker.stats("orders")[0].ready


def test_nothing_there_fails_with_remedies(tick: Any, place: Path) -> None:
    """Neither file there: both parts fail, exit code 1, and no file is made by looking."""
    answer = tick("doctor", "--json")

    assert 1 == answer.code
    assert {"fail"} == {_by_name(answer)[name][0] for name in ("broker", "ledger")}
    assert [] == list(place.iterdir())


def test_bad_setting_is_a_finding(tick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that isn't allowed is reported as a failed check."""
    monkeypatch.setenv("TICKRELAY_HTTP", "nonsense")
    answer = tick("doctor")

    assert 1 == answer.code
    assert "TICKRELAY_HTTP" in answer.out


def test_work_without_consumer_and_dead_letters(tick: Any, broker: Broker, ledger: Ledger, kill: Any) -> None:
    """Ready messages that nobody consumes and dead letters are warnings with the command to type."""
    broker.publish("orders", [Message.of(1)])
    kill(Message.of(2))
    found = _by_name(tick("doctor", "--json"))

    assert ("warn", "start one: tickrelay consume TARGET --group default") == found["queue orders"]
    assert ("warn", "tickrelay dead list; then replay or discard them") == found["dead letters"]


def test_open_file_and_full_disk(
    tick: Any, broker: Broker, ledger: Ledger, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file others can read is a warning, a disk nearly full a failure."""
    (place / ".tickrelay" / "queue.db").chmod(0o644)
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - shutil's own shape
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 1 << 40, 1 << 20))
    answer = tick("doctor", "--json")
    found = _by_name(answer)

    assert 1 == answer.code
    assert ("warn", "fail") == (found["broker file"][0], found["broker file disk"][0])


def test_damaged_broker_does_not_hide_the_rest(tick: Any, ledger: Ledger, place: Path) -> None:
    """A broker that can't be opened is one failed check; the ledger is still looked at."""
    (place / ".tickrelay" / "queue.db").write_bytes(b"this is no database" * 300)
    found = _by_name(tick("doctor", "--json"))

    assert ("fail", "ok") == (found["broker"][0], found["ledger"][0])


def test_password_is_not_shown(tick: Any, ledger: Ledger) -> None:
    """No finding shows a URL's password."""
    answer = tick("doctor", "--broker", "amqp://user:hunter2@127.0.0.1:1/")

    assert 1 == answer.code
    assert "hunter2" not in answer.out + answer.err
