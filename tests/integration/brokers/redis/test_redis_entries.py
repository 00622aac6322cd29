# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Whose an entry of a Redis queue is, how long it stays, and what other programs may put there."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
import redis
from tests.services.redis import (
    LEASE,
    STREAM,
    RedisServer,
    ids_of,
    messages,
    take,
)

from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import (
    QueueMismatch,
    UndecodableMessage,
)
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._children import forked


def test_a_killed_subscribers_messages_come_within_the_lease(server: RedisServer, broker: Broker) -> None:
    """After SIGKILL a sibling gets them, marked, when the lease has ended and not much later."""
    broker.publish("orders", messages(1500))

    def hold(say: Callable[[], None]) -> None:
        with open_broker(server.url()) as mine, mine.subscribe("orders") as subscription:
            take(subscription, 1500)
            say()
            signal.pause()

    with broker.subscribe("orders") as survivor, forked(hold) as child:
        child.wait_until_said()
        child.kill()
        start = time.monotonic()
        again = take(survivor, 1500)
        assert time.monotonic() - start < LEASE + 2
        assert {True} == {delivery.redelivered for delivery in again}
        survivor.acknowledge(again)


def test_a_former_owners_acknowledgement_is_refused(broker: Broker, bare: redis.Redis) -> None:
    """What was taken from a subscription, one by one, is no longer its to acknowledge; the rest is."""
    broker.publish("orders", messages(2))
    with broker.subscribe("orders") as subscription:
        deliveries = take(subscription, 2)
        bare.xclaim(STREAM, "default", "thief", 0, [deliveries[0].position])
        subscription.acknowledge(deliveries)
        (left,) = bare.xpending_range(STREAM, "default", "-", "+", 9)
        assert (deliveries[0].position.encode(), b"thief") == (left["message_id"], left["consumer"])


def test_messages_of_a_stranger_who_left_come_back(broker: Broker, bare: redis.Redis) -> None:
    """Who reads with a bare client and goes away counts as a consumer that died."""
    broker.publish("orders", messages(1))
    bare.xreadgroup("default", "stranger", {STREAM: ">"})
    with broker.subscribe("orders") as subscription:
        assert ["m0"] == ids_of(take(subscription, 1))


def test_an_entry_stays_until_every_group_has_acknowledged_it(broker: Broker, bare: redis.Redis) -> None:
    """One group's acknowledgement frees nothing another group still needs; the last one's does."""
    broker.declare(QueueSpec("orders", ("default", "audit")))
    broker.publish("orders", messages(2000))
    with broker.subscribe("orders") as subscription:
        subscription.acknowledge(take(subscription, 2000))
    assert 2000 == bare.xlen(STREAM)
    with broker.subscribe("orders", "audit") as subscription:
        deliveries = take(subscription, 2000)
        subscription.acknowledge(deliveries[:1500])
        assert 500 == bare.xlen(STREAM)
        subscription.acknowledge(deliveries[1501:])
    assert [deliveries[1500].position] == [peeked.position for peeked in broker.peek("orders")]
    with broker.subscribe("orders", "audit") as subscription:
        subscription.acknowledge(take(subscription, 1))
    assert 0 == bare.xlen(STREAM)


def test_statistics_stay_exact_beside_foreign_deletions(broker: Broker, bare: redis.Redis) -> None:
    """An XDEL in the middle makes the server lose count; then the entries themselves are counted."""
    broker.publish("orders", messages(2500))
    with broker.subscribe("orders") as subscription:
        take(subscription, 10)
        (entry,) = bare.xrange(STREAM, f"({broker.peek('orders', limit=50)[-1].position}", count=1)
        bare.xdel(STREAM, entry[0])
        (stats,) = broker.stats("orders")
        assert (2489, 10) == (stats.ready, stats.in_flight)
        assert 2489 == broker.purge("orders")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({b"data": b"\xff\x00raw"}, b"\xff\x00raw"),
        ({b"order": b"7", b"note": b"\xe9"}, b'{"order": "7", "note": "\\\\xe9"}'),
        ({b"ce_id": b"\xff", b"data": b"{}"}, b"{}"),
        ({b"data": b"1", b"later": b"2"}, b"1"),
        ({b"tickrelay-headers": b"no json", b"data": b"1"}, b"1"),
    ],
)
def test_a_foreign_entry_is_delivered_with_its_bytes(
    broker: Broker, bare: redis.Redis, fields: dict[bytes, bytes], body: bytes
) -> None:
    """An entry that is no message of ours can't be decoded, blocks nothing, and keeps what it says."""
    bare.xadd(STREAM, fields)
    broker.publish("orders", messages(1))
    with broker.subscribe("orders") as subscription:
        foreign, ours = take(subscription, 2)
        with pytest.raises(UndecodableMessage):
            decode(foreign.headers, foreign.body)
        assert (body, ["m0"]) == (foreign.body, ids_of([ours]))
        subscription.acknowledge([foreign, ours])
    assert 0 == bare.xlen(STREAM)


def test_another_publishers_cloud_event_is_understood(broker: Broker, bare: redis.Redis) -> None:
    """Anybody may publish with XADD and CloudEvents' names, also an event without data."""
    event = {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "shell", "ce_type": "t"}
    bare.xadd(STREAM, event)
    bare.xadd(STREAM, {"data": "{}", **event})
    with broker.subscribe("orders") as subscription:
        deliveries = take(subscription, 2)
        assert [("7", b""), ("7", b"{}")] == [
            (message.id, message.body) for message in (decode(one.headers, one.body) for one in deliveries)
        ]


def test_thousands_of_headers_travel(broker: Broker) -> None:
    """A message may have more headers than a script can pass on as arguments."""
    message = Message.of(1, id="many", headers={f"h{number}": "" for number in range(5000)})
    broker.publish("orders", [message])
    with broker.subscribe("orders") as subscription:
        (delivery,) = take(subscription, 1)
    assert message.headers == decode(delivery.headers, delivery.body).headers


def test_a_key_of_another_program_is_left_alone(broker: Broker, bare: redis.Redis) -> None:
    """Where a queue's key holds something else, the error says so and nothing is overwritten."""
    bare.set("tickrelay:{taken}", "precious")
    with pytest.raises(QueueMismatch, match="prefix"):
        broker.declare(QueueSpec("taken"))
    assert b"precious" == bare.get("tickrelay:{taken}")
