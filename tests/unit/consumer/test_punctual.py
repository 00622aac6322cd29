# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Works claimed a moment ahead begin at their instants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tickrelay_consumer.engine.punctual import AHEAD, Starter
from tickrelay_messaging.message import Message


@dataclass
class Begun:
    """What was dispatched, and when."""

    works: list[tuple[str, float]] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)

    def __call__(self, works) -> None:
        self.works += [(work.claim.message.id, time.time()) for work in works]
        self.changed.set()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.works]

    def await_(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.works) < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def begun() -> Begun:
    return Begun()


@pytest.fixture
def starter(begun: Begun) -> Iterator[Starter]:
    made = Starter(begun, time.time)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(10)
    assert not thread.is_alive()


def work(name: str, seconds: float | None):
    """Due so many seconds from now."""
    at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    return SimpleNamespace(claim=SimpleNamespace(message=Message.of(None, id=name, deliver_at=at)))


def test_each_begins_at_its_instant(starter: Starter, begun: Begun) -> None:
    """Whatever the order in which they were claimed; never before, and those without an instant at once."""
    works = [work("third", 0.3), work("second", 0.15), work("past", -5), work("none", None)]
    starter.put(works[:1])
    starter.put(works[1:])
    assert ["past", "none"] == begun.names
    begun.await_(4)
    assert ["past", "none", "second", "third"] == begun.names
    instants = {one.claim.message.id: one.claim.message.deliver_at for one in works}
    for name, at in begun.works[2:]:
        assert at >= instants[name].timestamp() - 0.001  # two clocks are compared


def test_an_earlier_one_wakes_it(starter: Starter, begun: Begun) -> None:
    """It waits for the next instant, not for the first it was told."""
    starter.put([work("later", 0.45)])
    starter.put([work("sooner", 0.1)])
    begun.await_(2)
    assert ["sooner", "later"] == begun.names


def test_nothing_is_kept_longer_than_it_was_claimed_ahead(starter: Starter, begun: Begun) -> None:
    """A clock that was set back by an hour doesn't hold work up for an hour."""
    began = time.monotonic()
    starter.put([work("odd", 3600)])
    begun.await_(1)
    assert AHEAD <= time.monotonic() - began + 0.001


def test_what_it_keeps_is_handed_over_when_it_stops(begun: Begun) -> None:
    """Runners release it then, for another consumer to take."""
    starter = Starter(begun, time.time)
    starter.put([work("kept", 0.4)])
    assert [] == begun.works
    starter.stop()
    starter.run()
    assert ["kept"] == begun.names
