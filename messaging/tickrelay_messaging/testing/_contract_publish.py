# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about declaring and publishing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, QueueSpec
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import ConfigurationError, InvalidMessage, MessageTooLarge, UnknownQueue
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._children import forked
from tickrelay_messaging.testing._contract_case import ContractCase, ids_of

_FULL_MESSAGE = Message(
    id="id/ü-1",
    source="/tickrelay/prod/orders",
    type="order.created",
    body=bytes(range(256)) * 4,
    content_type="application/octet-stream",
    time=datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=UTC),
    subject="Größe 北京 🚀",
    key="customer-7",
    deliver_at=datetime(2026, 3, 29, 5, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    expires=datetime(2027, 1, 1, tzinfo=UTC),
    extensions={"dagid": "orders", "runid": "scheduled__2026-03-29T01:59:59+00:00", "mapindex": "-1"},
    headers={"x-tenant": "Zürich", "Accept": "text/plain; q=0.5", "empty": ""},
)


class PublishContract(ContractCase):
    """Declaring and publishing."""

    def test_declaring_again_changes_nothing(self, broker: Broker, queue: str) -> None:
        """Declaring is idempotent: the queue keeps its messages, its groups and its lanes."""
        before = [spec for spec in broker.queues() if spec.name == queue]
        assert [(DEFAULT_GROUP,)] == [spec.groups for spec in before]
        broker.publish(queue, self.messages(2))
        broker.declare(QueueSpec(queue))
        assert before == [spec for spec in broker.queues() if spec.name == queue]
        with broker.subscribe(queue) as subscription:
            assert ["m0", "m1"] == ids_of(self.take(subscription, 2))

    def test_a_later_group_sees_later_messages(self, broker: Broker, queue: str) -> None:
        """A group sees what is published after its declaration, and nothing before."""
        broker.publish(queue, [Message.of(1, id="before")])
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "late")))
        broker.publish(queue, [Message.of(2, id="after")])
        with broker.subscribe(queue, "late") as subscription:
            assert ["after"] == ids_of(self.take(subscription, 1))
            assert [] == subscription.receive(1, self.silence)

    def test_a_group_keeps_messages_without_consumers(self, broker: Broker, queue: str) -> None:
        """What is published while nobody is subscribed waits for the first who is."""
        broker.publish(queue, self.messages(3))
        with self.make_broker() as other, other.subscribe(queue) as subscription:
            assert ["m0", "m1", "m2"] == ids_of(self.take(subscription, 3))

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a b", "a/b", "ä", "a\n", "x" * 201, "a~r1", "../up", "a:b"]
    )
    def test_bad_names_are_refused(self, broker: Broker, name: str) -> None:
        """Names of queues and groups hold to the rule that every broker can carry."""
        with pytest.raises(ConfigurationError):
            broker.declare(QueueSpec(name))
        with pytest.raises(ConfigurationError):
            broker.declare(QueueSpec("good", (name,)))
        assert "good" not in [spec.name for spec in broker.queues()]

    def test_an_undeclared_queue_is_refused(self, broker: Broker, queue: str) -> None:
        """Nothing is sent to, read from or said about a queue or group that was never declared."""
        calls: list[Callable[[], object]] = [
            lambda: broker.publish("never-declared", self.messages(1)),
            lambda: broker.publish("never-declared", []),
            lambda: broker.subscribe("never-declared"),
            lambda: broker.subscribe(queue, "no-such-group"),
            lambda: broker.stats("never-declared"),
            lambda: broker.purge("never-declared"),
        ]
        for call in calls:
            with pytest.raises(UnknownQueue):
                call()

    def test_order_is_kept(self, broker: Broker, queue: str) -> None:
        """One publisher's messages come in the order it published them, over calls and batches."""
        expected = [message.id for message in self.messages(2500)]
        messages = self.messages(2500)
        broker.publish(queue, messages[:1])
        broker.publish(queue, messages[1:])
        with broker.subscribe(queue) as subscription:
            assert expected == ids_of(self.take(subscription, 2500))

    def test_publishing_nothing_is_fine(self, broker: Broker, queue: str) -> None:
        """An empty batch is confirmed at once."""
        broker.publish(queue, [])
        self.assert_nothing_left(broker, queue)

    def test_everything_in_a_message_survives(self, broker: Broker, queue: str) -> None:
        """Every attribute, extension, header and byte comes out as it went in."""
        assert _FULL_MESSAGE == self._through(broker, queue, _FULL_MESSAGE)

    @pytest.mark.parametrize(
        "message",
        [
            Message(id="empty body", body=b""),
            Message(id="no content type", body=b"\x00\xff", content_type=None),
            Message(id="vendor json", body=b"{}", content_type="application/cloudevents+json; charset=utf-8"),
            Message(id="empty texts", subject="", key=""),
            Message(id="long header", headers={"long": "x" * 20_000}),
            Message(id="'; DROP TABLE messages; --", headers={"quote'\"": "%s {} \\ ' \""}),
        ],
        ids=lambda message: message.id,
    )
    def test_odd_messages_survive(self, broker: Broker, queue: str, message: Message) -> None:
        """Empty, absent and awkward values stay apart."""
        assert message == self._through(broker, queue, message)

    def test_the_largest_body_survives(self, broker: Broker, queue: str) -> None:
        """A body of exactly the broker's limit is carried."""
        message = Message(id="large", body=b"\xa5" * broker.capabilities.max_body)
        assert message == self._through(broker, queue, message)

    def _through(self, broker: Broker, queue: str, message: Message) -> Message:
        broker.publish(queue, [message])
        with broker.subscribe(queue) as subscription:
            (delivery,) = self.take(subscription, 1)
            subscription.acknowledge([delivery])
        return decode(delivery.headers, delivery.body)

    @pytest.mark.parametrize(
        "bad",
        [
            Message(id=""),
            Message(id="line\nbreak"),
            Message(id="not bytes", body="text"),  # type: ignore[arg-type]
            Message(id="naive", time=datetime(2026, 1, 1)),  # noqa: DTZ001 - that is the point
            Message(id="header", headers={"ce_id": "another"}),
            Message(id="extension", extensions={"id": "another"}),
            Message(id="headers too large", headers={"x": "y" * 40_000}),
        ],
        ids=lambda message: message.id,
    )
    def test_one_invalid_message_refuses_the_batch(self, broker: Broker, queue: str, bad: Message) -> None:
        """A batch with one message that can't be sent stores nothing, wherever that one stands."""
        with pytest.raises(InvalidMessage):
            broker.publish(queue, [*self.messages(1200), bad])
        self.assert_nothing_left(broker, queue)

    def test_one_oversized_message_refuses_the_batch(self, broker: Broker, queue: str) -> None:
        """A body over the limit is refused by name of its own error, and nothing is stored."""
        large = Message(id="large", body=bytes(broker.capabilities.max_body + 1))
        with pytest.raises(MessageTooLarge, match="large"):
            broker.publish(queue, [*self.messages(3), large])
        self.assert_nothing_left(broker, queue)

    def test_many_threads_may_publish(self, broker: Broker, queue: str) -> None:
        """A broker is thread-safe: nothing is lost or doubled, and each thread's own order is kept."""

        def publish(thread: int) -> None:
            for start in range(0, 60, 20):
                broker.publish(
                    queue,
                    [replace(m, id=f"{thread}-{m.id[1:]}") for m in self.messages(60)[start : start + 20]],
                )

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(publish, range(4)))
        with broker.subscribe(queue) as subscription:
            got = ids_of(self.take(subscription, 240))
        for thread in range(4):
            assert [f"{thread}-{n}" for n in range(60)] == [
                name for name in got if name.startswith(f"{thread}-")
            ]
        assert 240 == len(set(got))

    def test_a_forked_child_may_publish(self, broker: Broker, queue: str) -> None:
        """A broker made before a fork works on both sides of it."""
        self.need(broker, "shared")
        broker.publish(queue, [Message.of(0, id="parent before")])
        with forked(lambda say: broker.publish(queue, [Message.of(1, id="child")])) as child:
            assert 0 == child.join()
        broker.publish(queue, [Message.of(2, id="parent after")])
        with broker.subscribe(queue) as subscription:
            assert ["parent before", "child", "parent after"] == ids_of(self.take(subscription, 3))
