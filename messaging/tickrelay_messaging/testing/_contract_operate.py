# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about looking at a broker, purging and closing."""

from __future__ import annotations

import time

import pytest

from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, GroupStats, QueueSpec
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._contract_case import ContractCase, ids_of


class OperateContract(ContractCase):
    """Statistics, peek, purge and close."""

    def test_queues_lists_what_was_declared(self, broker: Broker, queue: str) -> None:
        """Every declared queue is listed with its groups, by name."""
        broker.declare(QueueSpec(f"{queue}.b", ("one", "two")))
        ours = [spec for spec in broker.queues() if spec.name.startswith(queue)]
        assert [(queue, {DEFAULT_GROUP}), (f"{queue}.b", {"one", "two"})] == [
            (spec.name, set(spec.groups)) for spec in ours
        ]

    def test_stats_of_an_empty_queue(self, broker: Broker, queue: str) -> None:
        """Nothing ready, nothing in flight, nobody there, and no age."""
        (stats,) = broker.stats(queue)
        assert (queue, DEFAULT_GROUP, 0, 0, None, 0) == (
            stats.queue, stats.group, stats.ready, stats.in_flight or 0, stats.oldest_age, stats.consumers
        )  # fmt: skip

    def test_stats_count(self, broker: Broker, queue: str) -> None:
        """Ready, in flight, consumers and published are exact at every step of a message's way."""
        self.need(broker, "exact_stats")
        broker.publish(queue, self.messages(5))
        assert (5, 0, 0) == self._counts(broker, queue)
        with broker.subscribe(queue) as subscription:
            deliveries = self.take(subscription, 3)
            assert (2, 3, 1) == self._counts(broker, queue)
            subscription.acknowledge(deliveries[:1])
            assert (2, 2, 1) == self._counts(broker, queue)
        assert (4, 0, 0) == self._counts(broker, queue)
        assert self._one(broker, queue).published in (5, None)

    def test_stats_are_by_group(self, broker: Broker, queue: str) -> None:
        """Each group has its own row."""
        self.need(broker, "exact_stats")
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "audit")))
        broker.publish(queue, self.messages(2))
        with broker.subscribe(queue, "audit") as subscription:
            subscription.acknowledge(self.take(subscription, 1))
        assert {DEFAULT_GROUP: 2, "audit": 1} == {row.group: row.ready for row in broker.stats(queue)}

    def test_the_age_is_the_oldests(self, broker: Broker, queue: str) -> None:
        """The age grows from the oldest message not acknowledged, held or not."""
        self.need(broker, "exact_stats")
        broker.publish(queue, self.messages(1))
        deadline = time.monotonic() + self.patience
        while (self._one(broker, queue).oldest_age or 0.0) < 0.1 and time.monotonic() < deadline:
            time.sleep(0.01)
        broker.publish(queue, self.messages(1))
        with broker.subscribe(queue) as subscription:
            held = self.take(subscription, 1)
            assert 0.1 <= (self._one(broker, queue).oldest_age or 0.0) < self.patience
            subscription.acknowledge(held)
            age = self._one(broker, queue).oldest_age
            assert age is not None
            assert age < self.patience

    def _one(self, broker: Broker, queue: str) -> GroupStats:
        (stats,) = broker.stats(queue)
        return stats

    def _counts(self, broker: Broker, queue: str) -> tuple[int, int | None, int]:
        stats = self._one(broker, queue)
        return stats.ready, stats.in_flight, stats.consumers

    def test_peek_takes_nothing(self, broker: Broker, queue: str) -> None:
        """Peeking shows messages as they are, oldest first, and leaves them for their consumers."""
        self.need(broker, "peek")
        start = time.time()
        broker.publish(queue, self.messages(3))
        seen = broker.peek(queue)
        assert ["m0", "m1", "m2"] == [decode(peeked.headers, peeked.body).id for peeked in seen]
        assert all(start - 5 <= peeked.published_at <= time.time() + 5 for peeked in seen)
        with broker.subscribe(queue) as subscription:
            deliveries = self.take(subscription, 3)
            assert [False] * 3 == [delivery.redelivered for delivery in deliveries]
            assert [True] * 3 == [peeked.in_flight for peeked in broker.peek(queue)]
            subscription.acknowledge(deliveries)
        assert [] == broker.peek(queue)

    def test_peek_has_pages(self, broker: Broker, queue: str) -> None:
        """`after` continues behind a position, also one that has been acknowledged meanwhile."""
        self.need(broker, "peek")
        broker.publish(queue, self.messages(7))
        pages, after = [], None
        while page := broker.peek(queue, after=after, limit=3):
            pages.append([decode(peeked.headers, peeked.body).id for peeked in page])
            after = page[-1].position
        assert [["m0", "m1", "m2"], ["m3", "m4", "m5"], ["m6"]] == pages
        with broker.subscribe(queue) as subscription:
            first = self.take(subscription, 1)
            subscription.acknowledge(first)
            assert "m1" == decode(*self._content(broker, queue, first[0].position)).id

    def _content(self, broker: Broker, queue: str, after: str) -> tuple[dict[str, str], bytes]:
        peeked = broker.peek(queue, after=after, limit=1)[0]
        return dict(peeked.headers), peeked.body

    def test_purge_leaves_what_is_in_flight(self, broker: Broker, queue: str) -> None:
        """Purging drops what is ready, says how many, and touches no consumer's messages."""
        broker.publish(queue, self.messages(5))
        with broker.subscribe(queue) as subscription:
            held = self.take(subscription, 2)
            assert 3 == broker.purge(queue)
            assert [] == subscription.receive(1, self.silence)
            subscription.acknowledge(held[:1])
        with broker.subscribe(queue) as subscription:
            assert [held[1].position] == [delivery.position for delivery in self.take(subscription, 1)]

    def test_purge_is_for_one_group(self, broker: Broker, queue: str) -> None:
        """Another group keeps its messages; later ones reach both."""
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "audit")))
        broker.publish(queue, self.messages(2))
        assert 2 == broker.purge(queue, "audit")
        broker.publish(queue, [Message.of(0, id="later")])
        for group, expected in ((DEFAULT_GROUP, ["m0", "m1", "later"]), ("audit", ["later"])):
            with broker.subscribe(queue, group) as subscription:
                assert expected == ids_of(self.take(subscription, len(expected)))
                assert [] == subscription.receive(1, self.silence)

    def test_closing_twice_is_fine(self, queue: str) -> None:
        """A broker may be closed again; its open subscriptions end with it."""
        broker = self.make_broker()
        broker.declare(QueueSpec(queue))
        subscription = broker.subscribe(queue)
        broker.close()
        broker.close()
        assert [] == subscription.receive(1, self.patience)
        subscription.close()

    def test_confirmed_messages_outlive_their_connection(self, broker: Broker, queue: str) -> None:
        """A durable broker keeps what it confirmed when every connection is closed."""
        self.need(broker, "durable")
        broker.publish(queue, self.messages(3))
        broker.close()
        with self.make_broker() as later, later.subscribe(queue) as subscription:
            assert ["m0", "m1", "m2"] == ids_of(self.take(subscription, 3))

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_receive_needs_a_limit(self, broker: Broker, queue: str, limit: int) -> None:
        """Receiving no messages at all is a mistake of the caller."""
        with broker.subscribe(queue) as subscription, pytest.raises(ValueError, match="limit"):
            subscription.receive(limit)
