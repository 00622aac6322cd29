# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about groups that end, and about reading acknowledged messages again."""

from __future__ import annotations

import time

import pytest

from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, QueueSpec
from tickrelay_messaging.errors import ConfigurationError, QueueMismatch, UnknownQueue
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._contract_case import ContractCase, ids_of

AGAIN = f"{DEFAULT_GROUP}~r1"


class ReplayContract(ContractCase):
    """`forget`, and `replay` for brokers that can."""

    def test_a_forgotten_group_is_gone(self, broker: Broker, queue: str) -> None:
        """A group that was forgotten isn't listed, can't be joined, and the others keep their messages."""
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "audit")))
        broker.publish(queue, self.messages(2))
        broker.forget(queue, "audit")
        assert [(DEFAULT_GROUP,)] == [spec.groups for spec in broker.queues() if spec.name == queue]
        with pytest.raises(UnknownQueue, match="audit"):
            broker.subscribe(queue, "audit")
        with broker.subscribe(queue) as subscription:
            subscription.acknowledge(self.take(subscription, 2))

    def test_forgetting_again_is_fine(self, broker: Broker, queue: str) -> None:
        """Forgetting a group that isn't there is no error; of a queue that isn't there, it is."""
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "audit")))
        broker.forget(queue, "audit")
        broker.forget(queue, "audit")
        with pytest.raises(UnknownQueue, match="nowhere"):
            broker.forget("nowhere", DEFAULT_GROUP)

    def test_a_group_declared_again_is_new(self, broker: Broker, queue: str) -> None:
        """A forgotten group that is declared again sees later messages only."""
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "audit")))
        broker.publish(queue, self.messages(2))
        broker.forget(queue, "audit")
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "audit")))
        broker.publish(queue, [Message.of(0, id="later")])
        with broker.subscribe(queue, "audit") as subscription:
            assert ["later"] == ids_of(self.take(subscription, 1))

    def test_who_cannot_replay_says_so(self, broker: Broker, queue: str) -> None:
        """Without the capability, replay is refused with the broker's name and what to do instead."""
        if broker.capabilities.replay:
            pytest.skip(f"{type(broker).__name__} can replay")
        with pytest.raises(ConfigurationError, match=type(broker).__name__):
            broker.replay(queue, AGAIN)

    def test_acknowledged_messages_come_again(self, broker: Broker, queue: str) -> None:
        """Without a start, a replay gives every message still kept to its own group, and to no other."""
        self.need(broker, "replay")
        self._publish_and_acknowledge(broker, queue, 3)
        broker.replay(queue, AGAIN)
        with broker.subscribe(queue, AGAIN) as subscription:
            again = self.take(subscription, 3)
            assert ["m0", "m1", "m2"] == ids_of(again)
            subscription.acknowledge(again)
        self.assert_nothing_left(broker, queue, AGAIN)
        self.assert_nothing_left(broker, queue)

    def test_a_replay_begins_at_a_time(self, broker: Broker, queue: str) -> None:
        """With `since`, what was published before stays away."""
        self.need(broker, "replay")
        self._publish_and_acknowledge(broker, queue, 2)
        time.sleep(0.05)  # instants apart, for clocks that count milliseconds
        since = time.time()
        broker.publish(queue, [Message.of(0, id="later")])
        broker.replay(queue, AGAIN, since=since)
        with broker.subscribe(queue, AGAIN) as subscription:
            assert ["later"] == ids_of(self.take(subscription, 1))
            assert [] == subscription.receive(1, self.silence)

    def test_a_replay_begins_behind_a_position(self, broker: Broker, queue: str) -> None:
        """With `after`, the message at that position and those before it stay away."""
        self.need(broker, "replay")
        broker.publish(queue, [Message.of(n, id=f"m{n}", key="same") for n in range(3)])
        with broker.subscribe(queue) as subscription:
            deliveries = self.take(subscription, 3)
            subscription.acknowledge(deliveries)
        broker.replay(queue, AGAIN, after=deliveries[1].position)
        with broker.subscribe(queue, AGAIN) as subscription:
            assert ["m2"] == ids_of(self.take(subscription, 1))
            assert [] == subscription.receive(1, self.silence)

    def test_a_replay_goes_on_with_what_is_new(self, broker: Broker, queue: str) -> None:
        """A replay's group also gets what is published after it was declared, until it's forgotten."""
        self.need(broker, "replay")
        broker.replay(queue, AGAIN)
        broker.publish(queue, self.messages(1))
        with broker.subscribe(queue, AGAIN) as subscription:
            assert ["m0"] == ids_of(self.take(subscription, 1))
        assert AGAIN in self._groups(broker, queue)
        broker.forget(queue, AGAIN)
        assert AGAIN not in self._groups(broker, queue)

    def test_a_replay_needs_a_new_name(self, broker: Broker, queue: str) -> None:
        """A group that exists isn't set back, and an ordinary name is refused."""
        self.need(broker, "replay")
        broker.replay(queue, AGAIN)
        with pytest.raises(QueueMismatch, match=AGAIN):
            broker.replay(queue, AGAIN)
        with pytest.raises(ConfigurationError, match="~"):
            broker.replay(queue, "audit")

    @pytest.mark.parametrize("start", [{"since": 1.0, "after": "1"}, {"after": "no such place"}])
    def test_a_replay_needs_one_start(self, broker: Broker, queue: str, start: dict[str, str]) -> None:
        """Two starts, or a position that is none, are refused, and no group is made."""
        self.need(broker, "replay")
        with pytest.raises(ConfigurationError):
            broker.replay(queue, AGAIN, **start)  # type: ignore[arg-type]
        assert AGAIN not in self._groups(broker, queue)

    def test_nobody_replays_an_unknown_queue(self, broker: Broker) -> None:
        """A queue that was never declared has nothing to replay."""
        self.need(broker, "replay")
        with pytest.raises(UnknownQueue, match="nowhere"):
            broker.replay("nowhere", AGAIN)

    def _publish_and_acknowledge(self, broker: Broker, queue: str, count: int) -> None:
        broker.publish(queue, [Message.of(n, id=f"m{n}", key="same") for n in range(count)])
        with broker.subscribe(queue) as subscription:
            subscription.acknowledge(self.take(subscription, count))

    def _groups(self, broker: Broker, queue: str) -> list[str]:
        return [group for spec in broker.queues() if spec.name == queue for group in spec.groups]
