# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around Kafka, and what must hold all the same."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from tests.services.kafka import IMPATIENT
from tests.services.kafka_messages import PATIENCE, ids, numbered, take
from tests.services.process import free_ports

from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.kafka import KafkaBroker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    CallerError,
    MessageTooLarge,
    PublishUnconfirmed,
    QueueMismatch,
    UndecodableMessage,
    UnknownQueue,
)
from tickrelay_messaging.message import Message


def test_a_broker_killed_under_load_loses_nothing_confirmed(kafka, broker, queue):
    """Through a SIGKILL and a restart each message is confirmed or named; what is confirmed arrives, and both go on."""
    confirmed, unconfirmed, got = set(), set(), set()
    underway, stop, over = Event(), Event(), Event()

    def publish():
        for batch in range(1_000):
            messages = numbered(200, prefix=f"{batch}-")
            try:
                broker.publish(queue, messages, timeout=5.0)
                confirmed.update(message.id for message in messages)
            except PublishUnconfirmed as error:
                unconfirmed.update(error.ids)
                confirmed.update({message.id for message in messages} - set(error.ids))
            except BrokerUnavailable:
                pass  # nothing was sent
            if batch == 3:
                underway.set()
            if stop.is_set():
                return

    def receive(subscription):
        while not (over.is_set() and confirmed <= got):
            try:
                deliveries = subscription.receive(500, 0.5)
            except BrokerUnavailable:
                continue
            got.update(ids(deliveries))
            subscription.acknowledge(deliveries)

    with broker.subscribe(queue) as subscription, ThreadPoolExecutor(2) as pool:
        publishing, receiving = pool.submit(publish), pool.submit(receive, subscription)
        assert underway.wait(PATIENCE)
        kafka.server.restart()
        broker.publish(queue, [Message.of(0, id="after")], timeout=PATIENCE)
        confirmed.add("after")
        stop.set()
        publishing.result(PATIENCE)
        over.set()
        receiving.result(PATIENCE)
    assert confirmed <= got
    assert got <= confirmed | unconfirmed


def test_a_silent_broker_leaves_messages_unconfirmed_and_named(kafka, broker, queue):
    """A broker that accepts and never answers: the deadline holds, all are named, and publishing them again works."""
    broker.publish(queue, numbered(1, prefix="before"))
    kafka.server.signal(signal.SIGSTOP)
    start = time.monotonic()
    try:
        with pytest.raises(PublishUnconfirmed) as caught:
            broker.publish(queue, numbered(3), timeout=1.0)
    finally:
        kafka.server.signal(signal.SIGCONT)
    assert time.monotonic() - start < 1.0 + 3.0
    assert ("m0", "m1", "m2") == caught.value.ids
    broker.publish(queue, numbered(3))
    missing = {"before0", "m0", "m1", "m2"}
    with broker.subscribe(queue) as subscription:
        while missing:  # what wasn't confirmed may have arrived all the same, and be there twice
            more = subscription.receive(10, PATIENCE)
            assert more
            missing -= set(ids(more))


def test_an_unreachable_broker_is_said_so_in_time():
    """Nobody listens: every call fails as BrokerUnavailable within its deadline, and names the server."""
    (port,) = free_ports(1)
    with KafkaBroker.from_url(f"kafka://127.0.0.1:{port}") as broker:
        start = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=str(port)):
            broker.publish("queue", numbered(1), timeout=1.0)
        assert time.monotonic() - start < 1.0 + 2.0


def test_a_deleted_topic_is_an_unknown_queue(kafka, broker, queue):
    """A topic deleted behind our back is noticed, also by a publisher that remembers it."""
    broker.publish(queue, numbered(1))
    admin = kafka.admin()
    admin.delete_topics([queue])[queue].result(10)
    with pytest.raises((UnknownQueue, PublishUnconfirmed)):
        broker.publish(queue, numbered(1), timeout=3.0)
    with pytest.raises(UnknownQueue):
        broker.publish(queue, numbered(1), timeout=3.0)


@pytest.mark.parametrize("known", [True, False], ids=["known beforehand", "told by the broker"])
def test_a_message_over_the_topics_limit_is_named(kafka, known):
    """What the topic refuses is an error that names the message; nothing of the batch is stored if that's known."""
    queue = f"small-{uuid4().hex}"
    with KafkaBroker.from_url(kafka.url("max.message.bytes=100000&partitions=1")) as broker:
        broker.declare(QueueSpec(queue))
        large = Message(id="the large one", body=bytes(200_000))
        if not known:
            topic = broker._topics.find(queue)
            broker._topics._known[queue] = replace(topic, limit=None)
        with pytest.raises(MessageTooLarge, match="the large one"):
            broker.publish(queue, [*(numbered(3) if known else []), large], timeout=10.0)
        broker.publish(queue, numbered(1, prefix="next"))
        with broker.subscribe(queue) as subscription:
            assert ["next0"] == ids(subscription.receive(10, PATIENCE))


def test_headers_over_the_topics_limit_are_named(kafka):
    """A topic's limit counts headers too: who has too much of them is named, and nothing of the batch is stored."""
    queue = f"small-{uuid4().hex}"
    with KafkaBroker.from_url(kafka.url("max.message.bytes=20000&partitions=1")) as broker:
        broker.declare(QueueSpec(queue))
        laden = Message(id="the laden one", headers={"x": "y" * 25_000})
        with pytest.raises(MessageTooLarge, match=r"the laden one.*max\.message\.bytes"):
            broker.publish(queue, [*numbered(3), laden], timeout=10.0)
        assert 0 == broker.stats(queue)[0].ready


def test_a_replay_behind_a_position_is_a_place_in_time(broker, queue):
    """On several partitions, what Kafka got later than the named message comes again, and nothing earlier."""
    broker.publish(queue, numbered(20, prefix="early"))
    Event().wait(0.05)  # instants apart: Kafka counts milliseconds
    broker.publish(queue, numbered(1, prefix="mark"))
    Event().wait(0.05)
    broker.publish(queue, numbered(20, prefix="late"))
    with broker.subscribe(queue) as subscription:
        held = take(subscription, 41)
        subscription.acknowledge(held)
    mark = next(one.position for one in held if ids([one]) == ["mark0"])
    broker.replay(queue, "default~r1", after=mark)
    with broker.subscribe(queue, "default~r1") as subscription:
        assert {f"late{n}" for n in range(20)} == set(ids(take(subscription, 20)))
        assert [] == subscription.receive(1, 0.2)


def test_a_group_with_consumers_elsewhere_is_not_forgotten(kafka, broker, queue):
    """Who forgets a group others still consume from is told to stop them; their messages stay theirs."""
    with KafkaBroker.from_url(kafka.url(IMPATIENT)) as other, other.subscribe(queue) as subscription:
        with pytest.raises(CallerError, match="consumers"):
            broker.forget(queue, "default")
        broker.publish(queue, numbered(3))
        assert 3 == len(take(subscription, 3))


def test_foreign_messages_are_handed_out_with_their_bytes(kafka, broker, queue):
    """A tombstone, a message without headers and one with broken ones block nothing and keep their bytes."""
    producer = Producer({"bootstrap.servers": kafka.address})
    producer.produce(queue, None, b"key", 0)
    producer.produce(queue, b"\xff\x00", None, 0)
    producer.produce(queue, b"{}", None, 0, headers=[("ce_id", b"\xff"), ("null", None)])
    producer.flush(10)
    with broker.subscribe(queue) as subscription:
        held = take(subscription, 3)
    assert [b"", b"\xff\x00", b"{}"] == [one.body for one in held]
    assert {"ce_id": "\\xff", "null": ""} == held[2].headers
    for one in held:
        with pytest.raises(UndecodableMessage):
            decode(one.headers, one.body)


def test_stats_are_lags(broker, queue):
    """A group's row says how far it is behind, how old its oldest message is, and who consumes."""
    broker.declare(QueueSpec(queue, ("default", "audit")))
    broker.publish(queue, numbered(10))
    with broker.subscribe(queue, "audit") as subscription:
        subscription.acknowledge(take(subscription, 4))
    rows = {row.group: row for row in broker.stats(queue)}
    assert (10, 10) == (rows["default"].ready, rows["default"].published)
    assert 6 <= rows["audit"].ready <= 10
    assert 0 <= rows["default"].oldest_age < PATIENCE
    assert 0 == rows["default"].consumers


def test_peek_goes_through_all_partitions_in_pages(broker, queue):
    """Pages over several partitions show each message once."""
    for batch in range(3):
        broker.publish(queue, numbered(10, prefix=f"{batch}-"))
        Event().wait(0.05)  # instants apart: Kafka counts milliseconds
    seen, after = [], None
    while page := broker.peek(queue, after=after, limit=4):
        seen += [decode(one.headers, one.body).id for one in page]
        after = page[-1].position
    assert 30 == len(seen) == len(set(seen))
    assert sorted(seen, key=lambda name: name[0]) == seen


def test_another_shape_is_a_mismatch(kafka, broker, queue):
    """A queue with another number of partitions, or one that Kafka may compact, is refused."""
    with pytest.raises(QueueMismatch, match="8 lanes"):
        broker.declare(QueueSpec(queue, lanes=3))
    compacted = f"compacted-{uuid4().hex}"
    admin = kafka.admin()
    topic = NewTopic(compacted, 1, config={"cleanup.policy": "compact"})
    admin.create_topics([topic])[compacted].result(10)
    with pytest.raises(QueueMismatch, match="compact"):
        broker.declare(QueueSpec(compacted))
