# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A bad network between clients and each broker: slow, cut in the middle of a call, slow to hang up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.chaos.brokers.nodes import BROKERS
from tests.services.behind_proxy import Place, behind_proxy

from tickrelay_messaging.brokers import Broker, QueueSpec, Subscription, open_broker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import PublishUnconfirmed, ServiceError
from tickrelay_messaging.message import Message

pytestmark = pytest.mark.chaos

PATIENCE = 60.0
LATENCY = 0.1
COUNT = 1000


@pytest.fixture(scope="module", params=BROKERS)
def place(request, tmp_path_factory) -> Iterator[Place]:
    """A server behind a proxy, for all tests here."""
    with behind_proxy(request.param, tmp_path_factory.mktemp("net") / request.param) as place:
        yield place


@pytest.fixture
def broker(place: Place) -> Iterator[Broker]:
    """A connection through the proxy; whatever a test made of the network is over afterwards."""
    with open_broker(place.url) as broker:
        yield broker
    place.proxy.latency = place.proxy.linger = 0.0
    place.proxy.reset_after = None


@pytest.fixture
def queue(broker: Broker) -> str:
    """A queue of the test's own."""
    name = f"net-{uuid4().hex}"
    broker.declare(QueueSpec(name))
    return name


def messages(count: int, size: int = 100) -> list[Message]:
    return [Message.of("x" * size, id=f"m{number}") for number in range(count)]


def take(subscription: Subscription, wanted: set[str], *, acknowledge: bool = True) -> set[str]:
    """Receive until all wanted ids have come; returns what came."""
    came: set[str] = set()
    deadline = time.monotonic() + PATIENCE
    while not wanted <= came and time.monotonic() < deadline:
        try:
            taken = subscription.receive(500, timeout=1.0)
            came |= {decode(one.headers, one.body).id for one in taken}
            if acknowledge:
                subscription.acknowledge(taken)
        except ServiceError:
            time.sleep(0.05)
    return came


def test_latency_is_paid_a_few_times_not_per_message(place: Place, broker: Broker, queue: str) -> None:
    """Behind 200 ms there and back, 1,000 messages cost a tenth of 1,000 one-way trips at most, and all arrive."""
    broker.publish(queue, messages(1))
    place.proxy.latency = LATENCY
    rounds, began = place.proxy.rounds, time.monotonic()
    broker.publish(queue, messages(COUNT), timeout=PATIENCE)
    seconds, rounds = time.monotonic() - began, place.proxy.rounds - rounds
    assert seconds < COUNT * LATENCY / 10
    assert rounds < COUNT / 10
    wanted = {message.id for message in messages(COUNT)}
    with broker.subscribe(queue) as subscription:
        assert wanted == take(subscription, wanted)


def test_a_reset_while_publishing_names_what_is_not_confirmed(
    place: Place, broker: Broker, queue: str
) -> None:
    """The connection is reset in the middle: the rest is named, or was sent again by the client; nothing is missing."""
    ours = messages(2000, size=500)
    broker.publish(queue, ours[:1])
    place.proxy.reset_after = 200_000
    strangers: set[str] = set()
    left, calls = ours[1:], 0
    while left:
        calls += 1
        assert calls < 20
        try:
            broker.publish(queue, left, timeout=PATIENCE)
            left = []
        except PublishUnconfirmed as error:
            named = set(error.ids)
            strangers |= named - {message.id for message in left}
            left = [message for message in left if message.id in named]
        except ServiceError:
            time.sleep(0.05)  # nothing was sent
    assert place.proxy.reset_after is None, "the connection was reset"
    assert set() == strangers, "only what the call was given is named"
    wanted = {message.id for message in ours}
    with broker.subscribe(queue) as subscription:
        assert wanted == take(subscription, wanted)


def test_a_slow_goodbye_keeps_nothing_back(place: Place, broker: Broker, queue: str) -> None:
    """A consumer leaves over a line that hangs up two seconds late: what it held goes to the next all the same."""
    wanted = {message.id for message in messages(100)}
    broker.publish(queue, messages(100))
    place.proxy.linger = 2.0
    with open_broker(place.url) as other, other.subscribe(queue) as first:
        assert wanted == take(first, wanted, acknowledge=False)
    with broker.subscribe(queue) as second:
        assert wanted == take(second, wanted)
