# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A consumer on Kafka with a ledger, from the message to its effect."""

from __future__ import annotations

import time
from threading import Event, Thread
from uuid import uuid4

from confluent_kafka import Producer

from tickrelay_consumer import Consumer
from tickrelay_messaging.brokers import QueueSpec, open_broker
from tickrelay_messaging.ledger import open_ledger
from tickrelay_messaging.ledger.records import DeadFilter
from tickrelay_messaging.message import Message

PATIENCE = 30.0


def test_each_message_has_one_effect(kafka, tmp_path):
    """Published twice, as a retried task does, each message is carried out once, and Kafka keeps nothing to do."""
    url, queue = kafka.url("heartbeat.interval.ms=200"), f"orders-{uuid4().hex}"
    done, complete = [], Event()
    consumer = Consumer(broker=url, ledger=f"sqlite:///{tmp_path}/ledger.db")

    @consumer.handler(queue)
    def work(message: Message, ctx: object) -> None:
        done.append(message.data)
        if len(done) >= 50:
            complete.set()

    messages = [Message.of(number, id=f"m{number}", key=f"k{number % 5}") for number in range(50)]
    with open_broker(url) as broker:
        broker.declare(QueueSpec(queue))
        running = Thread(target=consumer.run, kwargs={"signals": False})
        running.start()
        try:
            broker.publish(queue, messages)
            broker.publish(queue, messages)
            assert complete.wait(PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while (ready := broker.stats(queue)[0].ready) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert 0 == ready
        finally:
            consumer.stop()
            running.join(PATIENCE)
    assert list(range(50)) == sorted(done)


def test_a_foreign_message_becomes_a_dead_letter(kafka, tmp_path):
    """What isn't ours, with a body that isn't text, is kept byte by byte in the ledger, and blocks nobody."""
    url, queue = kafka.url("heartbeat.interval.ms=200&partitions=1"), f"orders-{uuid4().hex}"
    ledger, done = f"sqlite:///{tmp_path}/ledger.db", Event()
    consumer = Consumer(broker=url, ledger=ledger)

    @consumer.handler(queue)
    def work(message: Message, ctx: object) -> None:
        done.set()

    with open_broker(url) as broker:
        broker.declare(QueueSpec(queue))
        producer = Producer({"bootstrap.servers": kafka.address})
        producer.produce(queue, b"\xff\x00no text", b"key", 0, headers=[("theirs", b"\xfe")])
        producer.flush(10)
        broker.publish(queue, [Message.of(0, id="behind it")])
        running = Thread(target=consumer.run, kwargs={"signals": False})
        running.start()
        try:
            assert done.wait(PATIENCE)
            with open_ledger(ledger) as opened:
                deadline = time.monotonic() + PATIENCE
                while not (dead := opened.dead_letters.list(DeadFilter())) and time.monotonic() < deadline:
                    time.sleep(0.05)
                (letter,) = [opened.dead_letters.show(one.number) for one in dead]
        finally:
            consumer.stop()
            running.join(PATIENCE)
    assert (queue, b"\xff\x00no text") == (letter.route.queue, letter.body)
    assert {"theirs": "\\xfe"} == dict(letter.headers)
