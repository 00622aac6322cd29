# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Members of a Kafka group: partitions that come and go, pauses, and commits that get lost."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from threading import Event

from confluent_kafka import KafkaError, KafkaException
from tests.services.kafka import IMPATIENT
from tests.services.kafka_messages import PATIENCE, await_share, ids, numbered, take

from tickrelay_messaging.brokers.kafka import KafkaBroker
from tickrelay_messaging.brokers.kafka import member as member_module
from tickrelay_messaging.brokers.kafka.clients import Reader
from tickrelay_messaging.errors import (
    BrokerUnavailable,
)


def test_a_rebalance_commits_nothing_unfinished(kafka, broker, queue):
    """A second consumer joins while messages are unfinished: no offset passes one of them, and each comes again."""
    broker.publish(queue, numbered(200))
    with broker.subscribe(queue) as first:
        held = take(first, 200)
        finished = random.Random(4).sample(held, 120)
        first.acknowledge(finished[:60])
        with KafkaBroker.from_url(kafka.url(IMPATIENT)) as other, other.subscribe(queue) as second:
            await_share(second)
            first.acknowledge(finished[60:])
            done = {delivery.position for delivery in finished}
            for delivery in held:
                partition, offset = map(int, delivery.position.split(":"))
                if delivery.position not in done:
                    assert broker._groups.committed(queue, "default")[partition] <= offset
    unfinished = set(ids(held)) - set(ids(finished))
    seen = set()
    with broker.subscribe(queue) as last:
        while more := last.receive(500, 1.0):
            seen.update(ids(more))
    assert unfinished <= seen


def test_a_revoked_partitions_late_acknowledgement_counts_for_nothing(kafka, broker, queue):
    """Who lost a partition can't acknowledge its messages any more: the new owner has them."""
    broker.publish(queue, numbered(80))
    with broker.subscribe(queue) as first:
        held = take(first, 80)
        with KafkaBroker.from_url(kafka.url(IMPATIENT)) as other, other.subscribe(queue) as second:
            await_share(second)
            moved = {lane.partition for lane in second.lanes()}
            lost = [one for one in held if int(one.position.split(":")[0]) in moved]
            assert lost
            again = take(second, len(lost))
            first.acknowledge(held)
        assert sorted(ids(lost)) == sorted(ids(again))
    with broker.subscribe(queue) as last:
        assert sorted(ids(lost)) == sorted(ids(take(last, len(lost))))


def test_consumers_on_several_partitions_share_the_work(kafka, broker, queue):
    """Two consumers both get messages without a key, and together each of them once."""
    with broker.subscribe(queue) as first, broker.subscribe(queue) as second:
        await_share(second)
        broker.publish(queue, numbered(100))
        shares = [], []
        deadline = time.monotonic() + PATIENCE
        while sum(map(len, shares)) < 100 and time.monotonic() < deadline:
            for share, subscription in zip(shares, (first, second), strict=True):
                share.extend(ids(subscription.receive(100, 0.1)))
    assert all(shares)
    assert sorted(message.id for message in numbered(100)) == sorted(shares[0] + shares[1])


def test_a_slow_caller_keeps_its_membership(kafka, broker, queue):
    """A caller away for longer than max.poll.interval.ms keeps its messages and may acknowledge them."""
    broker.publish(queue, numbered(8))
    short = "session.timeout.ms=1000&heartbeat.interval.ms=200&max.poll.interval.ms=1500"
    with KafkaBroker.from_url(kafka.url(short)) as slow, slow.subscribe(queue) as subscription:
        held = take(subscription, 8)
        with broker.subscribe(queue) as sibling:
            gone = {lane.partition for lane in sibling.lanes()}
            mine = [one for one in held if int(one.position.split(":")[0]) not in gone]
            sibling.receive(100, 3.0)  # twice the interval
            assert all(
                one.token[0].live for one in mine if int(one.position.split(":")[0]) in kept(subscription)
            )
        assert subscription.lanes()


def kept(subscription):
    return {lane.partition for lane in subscription.lanes()}


def test_a_full_member_loses_nothing_and_keeps_order(broker, queue, monkeypatch):
    """Partitions paused because the caller is busy go on where they were."""
    for name, value in {"FULL": 100, "BATCH": 50, "PATIENCE": 0.01}.items():
        monkeypatch.setattr(member_module, name, value)
    messages = numbered(3_000, key="one")
    broker.publish(queue, messages)
    with broker.subscribe(queue) as subscription:
        got = []
        while len(got) < 3_000:
            more = subscription.receive(150, PATIENCE)
            assert more
            got += ids(more)
            if len(got) < 500:
                Event().wait(0.1)  # away for longer than its patience
    assert [message.id for message in messages] == got


def test_partitions_go_on_after_an_error_while_they_were_paused(broker, queue, monkeypatch):
    """Whatever the client raises while the caller is away, no partition stays paused: everything comes."""
    for name, value in {"FULL": 100, "BATCH": 50, "PATIENCE": 0.01}.items():
        monkeypatch.setattr(member_module, name, value)
    raised = Event()
    pause = Reader.pause

    def pause_and_fail(reader, partitions):
        pause(reader, partitions)
        if not raised.is_set():
            raised.set()
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "gone for a moment"))

    monkeypatch.setattr(Reader, "pause", pause_and_fail)
    broker.publish(queue, numbered(1_000, key="one"))
    got = set()
    with broker.subscribe(queue) as subscription:
        assert raised.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while len(got) < 1_000 and time.monotonic() < deadline:
            with suppress(BrokerUnavailable):
                got.update(ids(subscription.receive(150, 1.0)))
    assert 1_000 == len(got)


def test_a_commit_without_an_answer_is_sent_again(broker, queue, monkeypatch):
    """One that got lost on its way doesn't leave acknowledged messages uncommitted."""
    monkeypatch.setattr(member_module, "COMMIT_LOST", 0.2)
    commit, lost = Reader.commit, []

    def lose_first(reader, **wanted):
        if wanted.get("asynchronous") and not lost:
            return lost.append(wanted["offsets"])
        return commit(reader, **wanted)

    monkeypatch.setattr(Reader, "commit", lose_first)
    broker.publish(queue, numbered(3, key="one"))
    with broker.subscribe(queue) as subscription:
        held = take(subscription, 3)
        subscription.acknowledge(held)
        partition, offset = map(int, held[-1].position.split(":"))
        deadline = time.monotonic() + PATIENCE
        while broker._groups.committed(queue, "default")[partition] != offset + 1:
            assert time.monotonic() < deadline, "it was never sent again"
            subscription.receive(1, 0.1)
    assert lost
