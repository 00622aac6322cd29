# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Pause and resume when Airflow or the ledger is away: what was done, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tickrelay_airflow.control.revoking import covers, kind_of
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import Revocation

LEDGER = "sqlite:///.tickrelay/ledger.db"


@pytest.fixture
def ledger(place):
    """The default ledger."""
    (place / ".tickrelay").mkdir()
    with open_ledger(LEDGER) as opened:
        yield opened


@pytest.fixture
def nowhere(free_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address at which nobody answers, as Airflow's."""
    address = f"http://127.0.0.1:{free_port}"
    monkeypatch.setenv("TICKRELAY_AIRFLOW_URL", address)
    return address


def test_pause_without_airflow(schedule: Callable, ledger, nowhere):
    """Ticks that are out are revoked all the same, since that stops everything; the error says what is left to do."""
    answer = schedule("pause", "nightly", "--reason", "fire")
    (pause,) = ledger.revocations.list("local/nightly")

    assert 1 == answer.code
    assert ("pause", "fire") == (kind_of(pause), pause.reason)
    assert "ticks of nightly are revoked from now on" in answer.err
    assert "Say `pause` again once Airflow answers" in answer.err
    assert nowhere in answer.err


def test_pause_again_without_airflow(schedule, ledger, nowhere):
    """However often it is said, there is one pause."""
    for _ in range(3):
        schedule("pause", "nightly")

    assert 1 == len(ledger.revocations.list("local/nightly"))


def test_pause_without_both(schedule, nowhere):
    """Nothing was done, and both reasons are told."""
    answer = schedule("pause", "nightly")

    assert 1 == answer.code
    assert "nothing was changed" in answer.err
    assert "no ledger file" in answer.err
    assert "can't be reached" in answer.err


@pytest.mark.parametrize("verb", ["list", "show", "resume", "trigger", "skip-next", "history"])
def test_others_need_airflow(schedule, ledger, nowhere, verb):
    """Without Airflow nothing else is done: one line says where it was looked for."""
    answer = schedule(verb, *([] if verb == "list" else ["nightly"]))

    assert (1, "") == (answer.code, answer.out)
    assert f"Airflow at {nowhere} (TICKRELAY_AIRFLOW_URL) can't be reached" in answer.err
    assert [] == ledger.revocations.list()


def test_a_conf_that_is_no_object(schedule, nowhere):
    """A conf is checked before anybody is asked."""
    assert 2 == schedule("trigger", "nightly", "--conf", "[1]").code
    assert 2 == schedule("trigger", "nightly", "--conf", "{1}").code


def test_the_publishing_task_s_own_revocations(ledger):
    """What takes back an older form of the schedule is no pause: resume leaves it, and coming ticks aren't covered."""
    older = Revocation(schedule="local/nightly", since=0.0, generation=3)

    assert "revocation" == kind_of(older)
    assert not covers(older, datetime.now(UTC))
