# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How much is in hand: admission, the closed intake, and waiting for room."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from tickrelay_consumer.engine.shared import Load


def test_room_is_what_is_left() -> None:
    """Never below zero, also when more was taken than allowed."""
    load = Load(10)
    assert 10 == load.wait_for_room(0)
    load.add(7)
    assert (3, 7) == (load.wait_for_room(0), load.count)
    load.add(7)
    assert 0 == load.wait_for_room(0.01)


def test_a_closed_intake_admits_nothing() -> None:
    """Nothing is counted for who was not admitted; `add` is for who closed it."""
    load = Load(10)
    load.close_intake()
    assert not load.admit(3, timeout=0.01)
    assert 0 == load.count
    load.add(1)
    load.open_intake()
    assert load.admit(3, timeout=0)
    assert 4 == load.count


def test_waiting_ends_when_what_was_waited_for_comes() -> None:
    """Room, admission and emptiness each wake who waits for them, long before the time is over."""
    load = Load(1)
    load.add(1)
    load.close_intake()
    answers: dict[str, object] = {}
    waits = {
        "empty": lambda: load.wait_until_empty(10),
        "room": lambda: load.wait_for_room(10),
        "admitted": lambda: load.admit(1, 10),
    }
    threads = [
        threading.Thread(target=lambda name=name, wait=wait: answers.update({name: wait()}))
        for name, wait in waits.items()
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    load.remove(1)
    threads[0].join(5)
    threads[1].join(5)
    load.open_intake()
    threads[2].join(5)

    assert {"empty": True, "room": 1, "admitted": True} == answers
    assert time.monotonic() - began < 5


@given(st.lists(st.tuples(st.sampled_from(["admit", "add", "remove", "close", "open"]), st.integers(0, 20))))
def test_the_count_is_what_was_taken_and_not_given_back(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order."""
    load, expected, is_open = Load(50), 0, True
    for step, count in steps:
        if step == "admit":
            assert is_open == load.admit(count, timeout=0)
            expected += count if is_open else 0
        elif step == "add":
            load.add(count)
            expected += count
        elif step == "remove":
            load.remove(min(count, expected))
            expected -= min(count, expected)
        else:
            is_open = step == "open"
            load.open_intake() if is_open else load.close_intake()
        assert expected == load.count
        assert max(0, 50 - expected) == load.wait_for_room(0)
        assert (expected == 0) == load.wait_until_empty(0)
