# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The SQLite broker's lanes, and groups that are forgotten: nobody waits for nothing, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.unit.brokers.sqlite_lab import drain, some

from tickrelay_messaging.brokers import QueueSpec, Subscription
from tickrelay_messaging.brokers.lanes import lane_of
from tickrelay_messaging.brokers.sqlite import SqliteBroker
from tickrelay_messaging.errors import UnknownQueue
from tickrelay_messaging.message import Message

LANES = 4


def in_lane(lane: int, name: str = "m") -> Message:
    """A message of this lane of four."""
    keys = (f"key{number}" for number in range(1_000))
    key = next(key for key in keys if lane_of(Message(id="any", key=key), LANES) == lane)
    return Message(id=name, key=key)


@pytest.fixture
def laned(broker: SqliteBroker) -> Iterator[SqliteBroker]:
    """A broker with a queue of four lanes, `lanes`."""
    broker.declare(QueueSpec("lanes", lanes=LANES))
    return broker


def ids(subscription: Subscription, limit: int = 100, timeout: float = 0.0) -> list[str]:
    """What it receives now, by id."""
    return [delivery.headers["ce_id"] for delivery in subscription.receive(limit, timeout)]


def test_nobody_waits_behind_a_slow_lane(laned: SqliteBroker) -> None:
    """However much a held lane has waiting, messages of other lanes behind it are received."""
    laned.publish("lanes", [in_lane(0, "held")])
    with laned.subscribe("lanes") as slow, laned.subscribe("lanes") as quick:
        assert ["held"] == ids(slow)
        laned.publish("lanes", [in_lane(0, f"behind{n}") for n in range(5_000)])
        laned.publish("lanes", [in_lane(1, "other")])
        assert ["other"] == ids(quick)
        assert (5_000, 2) == (laned.stats("lanes")[0].ready, laned.stats("lanes")[0].in_flight)


def test_an_acknowledgement_frees_a_lane_for_who_waits(laned: SqliteBroker) -> None:
    """A sibling that waits without a timeout receives as soon as the lane is free, in order and not marked."""
    laned.publish("lanes", [in_lane(0, "first")])
    with laned.subscribe("lanes") as holder, laned.subscribe("lanes") as sibling:
        held = holder.receive(1)
        laned.publish("lanes", [in_lane(0, "second"), in_lane(0, "third")])
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(sibling.receive, 10, None)
            holder.acknowledge(held)
            got = waiting.result(20)
        assert [("second", False), ("third", False)] == [(d.headers["ce_id"], d.redelivered) for d in got]


def test_a_hungry_sibling_gets_its_share(laned: SqliteBroker) -> None:
    """Under a load that never ends, who holds all lanes lets go of some for a sibling that has none."""
    with laned.subscribe("lanes") as first, laned.subscribe("lanes") as second:
        laned.publish("lanes", [in_lane(lane) for lane in range(LANES)])
        held = first.receive(100)
        for _ in range(20):
            laned.publish("lanes", [in_lane(lane) for lane in range(LANES)])
            if second.receive(100, 0.05):
                break
            more = first.receive(100)  # before it acknowledges, so that no lane of its own is ever empty
            first.acknowledge(held)
            held = more
        else:
            pytest.fail("the second consumer starved")
        assert [] != held


def test_purging_drops_what_was_passed_over(laned: SqliteBroker) -> None:
    """What was set aside for a held lane is ready, and purged like the rest."""
    laned.publish("lanes", [in_lane(0, "held")])
    with laned.subscribe("lanes") as holder, laned.subscribe("lanes") as sibling:
        held = holder.receive(1)
        laned.publish("lanes", [in_lane(0) for _ in range(3)])
        assert [] == ids(sibling)
        assert 3 == laned.purge("lanes")
        holder.acknowledge(held)
        assert [] == ids(sibling)
        assert [] == laned.peek("lanes")


def test_large_backlogs_are_worked_off_in_lanes(laned: SqliteBroker) -> None:
    """Two consumers of a long queue get every message once, each key's in order."""
    laned.publish("lanes", [in_lane(n % LANES, str(n)) for n in range(6_000)])
    got: dict[int, list[int]] = {lane: [] for lane in range(LANES)}
    with laned.subscribe("lanes") as one, laned.subscribe("lanes") as other:
        while deliveries := one.receive(700) + other.receive(300):
            for delivery in deliveries:
                number = int(delivery.headers["ce_id"])
                got[number % LANES].append(number)
            one.acknowledge(deliveries)
            other.acknowledge(deliveries)
    assert got == {lane: list(range(lane, 6_000, LANES)) for lane in range(LANES)}


@pytest.mark.parametrize("queue", ["q", "lanes"])
def test_a_forgotten_group_ends_its_subscriptions(laned: SqliteBroker, queue: str) -> None:
    """A subscription whose group was forgotten says so at its next receive, and when it waits."""
    laned.publish(queue, some(3))
    with laned.subscribe(queue) as holder, laned.subscribe(queue) as waiter, ThreadPoolExecutor(1) as pool:
        held = holder.receive(3)
        waiting = pool.submit(waiter.receive, 1, None)
        laned.forget(queue, "default")
        with pytest.raises(UnknownQueue, match="'default'"):
            waiting.result(20)
        holder.acknowledge(held)
        with pytest.raises(UnknownQueue, match="no more"):
            holder.receive(1)


@pytest.mark.parametrize("queue", ["q", "lanes"])
def test_a_forgotten_group_leaves_nothing(laned: SqliteBroker, queue: str) -> None:
    """Only what another group needs stays; a queue without groups takes messages and keeps none."""
    laned.publish(queue, some(3))
    laned.declare(QueueSpec(queue, ("late",)))
    laned.publish(queue, some(2, key="same"))
    with laned.subscribe(queue) as holder:
        holder.receive(4)
        laned.forget(queue, "default")
    assert 2 == len(laned.peek(queue))
    laned.forget(queue, "late")
    laned.publish(queue, some(5))
    assert ([], [()]) == (
        laned.peek(queue),
        [spec.groups for spec in laned.queues() if spec.name == queue],
    )
    laned.declare(QueueSpec(queue))
    laned.publish(queue, some(2))
    with laned.subscribe(queue) as subscription:
        assert 2 == len(drain(subscription))
    with laned._store.read() as db:
        assert [0, 0] == [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("messages", "in_flight")
        ]
