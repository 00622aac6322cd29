# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The contract's part about receiving and acknowledging."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from tickrelay_messaging.brokers.base import DEFAULT_GROUP, Broker, Delivery, QueueSpec
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._children import forked
from tickrelay_messaging.testing._contract_case import ContractCase, ids_of


class ConsumeContract(ContractCase):
    """Receiving and acknowledging."""

    def test_a_receive_is_bounded(self, broker: Broker, queue: str) -> None:
        """No call returns more than its limit, and the rest comes next, oldest first."""
        broker.publish(queue, self.messages(5))
        with broker.subscribe(queue) as subscription:
            first = subscription.receive(2, self.patience)
            assert 1 <= len(first) <= 2
            rest = self.take(subscription, 5 - len(first))
            assert ["m0", "m1", "m2", "m3", "m4"] == ids_of(first + rest)

    def test_a_delivery_says_where_it_is_from(self, broker: Broker, queue: str) -> None:
        """A delivery names its queue and group, has a position of its own, and is marked as new."""
        broker.publish(queue, self.messages(2))
        with broker.subscribe(queue) as subscription:
            deliveries = self.take(subscription, 2)
        assert [(queue, DEFAULT_GROUP, False)] * 2 == [(d.queue, d.group, d.redelivered) for d in deliveries]
        assert 2 == len({delivery.position for delivery in deliveries})

    def test_no_message_no_wait(self, broker: Broker, queue: str) -> None:
        """A timeout of 0 returns at once."""
        with broker.subscribe(queue) as subscription:
            assert [] == subscription.receive(10)

    def test_the_timeout_is_kept(self, broker: Broker, queue: str) -> None:
        """A receive without messages lasts as long as its timeout says, not much longer."""
        with broker.subscribe(queue) as subscription:
            start = time.monotonic()
            assert [] == subscription.receive(10, 0.3)
            assert 0.29 <= time.monotonic() - start < self.patience

    @pytest.mark.parametrize("timeout", [20.0, None])
    def test_a_published_message_ends_the_wait(
        self, broker: Broker, queue: str, timeout: float | None
    ) -> None:
        """A receive that waits returns with what is published meanwhile, from any connection."""
        with broker.subscribe(queue) as subscription, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(subscription.receive, 10, timeout)
            with self.make_broker() as other:
                other_sees = queue in [spec.name for spec in other.queues()]
                (other if other_sees else broker).publish(queue, self.messages(1))
            assert ["m0"] == ids_of(waiting.result(self.patience))

    def test_consumers_of_a_group_compete(self, broker: Broker, queue: str) -> None:
        """Each message goes to one consumer of a group, and together they get all of them."""
        broker.publish(queue, self.messages(100))
        first, second = broker.subscribe(queue), broker.subscribe(queue)
        with first, second:
            sets: tuple[list[Delivery], list[Delivery]] = ([], [])
            deadline = time.monotonic() + self.patience
            while len(sets[0]) + len(sets[1]) < 100 and time.monotonic() < deadline:
                for subscription, got in zip((first, second), sets, strict=True):
                    got.extend(subscription.receive(10, 0.05))
            assert sorted(m.id for m in self.messages(100)) == sorted(ids_of(sets[0] + sets[1]))

    def test_every_group_gets_everything(self, broker: Broker, queue: str) -> None:
        """Groups don't take messages from each other, and acknowledge each for itself."""
        broker.declare(QueueSpec(queue, (DEFAULT_GROUP, "audit")))
        broker.publish(queue, self.messages(3))
        for group in (DEFAULT_GROUP, "audit"):
            with broker.subscribe(queue, group) as subscription:
                deliveries = self.take(subscription, 3)
                assert ["m0", "m1", "m2"] == ids_of(deliveries)
                subscription.acknowledge(deliveries)
            self.assert_nothing_left(broker, queue, group)

    def test_acknowledged_is_gone(self, broker: Broker, queue: str) -> None:
        """What was acknowledged never comes again to its group; the rest does, in order and marked."""
        self.need(broker, "keeps_scattered_acks")
        broker.publish(queue, self.messages(5))
        with broker.subscribe(queue) as subscription:
            deliveries = self.take(subscription, 5)
            subscription.acknowledge([deliveries[0], deliveries[3]])
        with broker.subscribe(queue) as subscription:
            again = self.take(subscription, 3)
            assert ["m1", "m2", "m4"] == ids_of(again)
            assert [True] * 3 == [delivery.redelivered for delivery in again]

    def test_given_back_comes_before_new(self, broker: Broker, queue: str) -> None:
        """What a subscription leaves unacknowledged goes to the others before later messages."""
        broker.publish(queue, self.messages(2))
        with broker.subscribe(queue) as subscription:
            self.take(subscription, 2)
        broker.publish(queue, [Message.of(0, id="later")])
        with broker.subscribe(queue) as subscription:
            got = self.take(subscription, 3)
            assert {"m0": True, "m1": True, "later": False} == dict(
                zip(ids_of(got), [delivery.redelivered for delivery in got], strict=True)
            )

    def test_closing_wakes_a_waiting_sibling(self, broker: Broker, queue: str) -> None:
        """Messages given back by a close reach a sibling that waits without a timeout."""
        broker.publish(queue, self.messages(1))
        leaver, stayer = broker.subscribe(queue), broker.subscribe(queue)
        self.take(leaver, 1)
        with stayer, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(stayer.receive, 1, None)
            leaver.close()
            assert ["m0"] == ids_of(waiting.result(self.patience))

    def test_only_the_owner_acknowledges(self, broker: Broker, queue: str) -> None:
        """An acknowledgement by a subscription that gave the message back changes nothing."""
        broker.publish(queue, self.messages(1))
        former = broker.subscribe(queue)
        old = self.take(former, 1)
        former.close()
        with broker.subscribe(queue) as owner:
            self.take(owner, 1)
            former.acknowledge(old)
        with broker.subscribe(queue) as next_one:
            assert ["m0"] == ids_of(self.take(next_one, 1))

    def test_acknowledging_again_is_fine(self, broker: Broker, queue: str) -> None:
        """Acknowledging twice, together with others, or nothing at all is no error."""
        broker.publish(queue, self.messages(2))
        with broker.subscribe(queue) as subscription:
            deliveries = self.take(subscription, 2)
            subscription.acknowledge([])
            subscription.acknowledge(deliveries[:1])
            subscription.acknowledge(deliveries[:1])
            subscription.acknowledge(deliveries)
        self.assert_nothing_left(broker, queue)

    def test_acknowledging_from_another_thread(self, broker: Broker, queue: str) -> None:
        """One thread may acknowledge while another waits in receive."""
        broker.publish(queue, self.messages(1))
        with broker.subscribe(queue) as subscription:
            deliveries = self.take(subscription, 1)
            with ThreadPoolExecutor(2) as pool:
                waiting = pool.submit(subscription.receive, 1, None)
                pool.submit(subscription.acknowledge, deliveries).result(self.patience)
                subscription.wake()
                assert [] == waiting.result(self.patience)
        self.assert_nothing_left(broker, queue)

    @pytest.mark.parametrize("ender", ["wake", "close"])
    def test_a_waiting_receive_is_ended(self, broker: Broker, queue: str, ender: str) -> None:
        """`wake` and `close`, from another thread, end a receive that would wait for ever."""
        with broker.subscribe(queue) as subscription:
            got: list[list[Delivery]] = []
            thread = Thread(target=lambda: got.append(subscription.receive(1, None)))
            thread.start()
            getattr(subscription, ender)()
            thread.join(self.patience)
            assert [[]] == got

    def test_a_wake_before_the_receive_counts(self, broker: Broker, queue: str) -> None:
        """A wake that comes first ends the next receive, and only that one."""
        with broker.subscribe(queue) as subscription:
            subscription.wake()
            assert [] == subscription.receive(1, None)
            broker.publish(queue, self.messages(1))
            assert ["m0"] == ids_of(self.take(subscription, 1))

    def test_a_signal_handler_may_wake(self, broker: Broker, queue: str) -> None:
        """`wake` is callable from a signal handler that interrupts the receive itself."""
        with broker.subscribe(queue) as subscription:
            before = signal.signal(signal.SIGUSR1, lambda *_: subscription.wake())
            main = os.getpid()
            thread = Thread(target=lambda: os.kill(main, signal.SIGUSR1))
            try:
                thread.start()
                assert [] == subscription.receive(1, None)
            finally:
                thread.join()
                signal.signal(signal.SIGUSR1, before)

    def test_a_closed_subscription_receives_nothing(self, broker: Broker, queue: str) -> None:
        """After close, receive returns nothing, and closing and waking again is no error."""
        broker.publish(queue, self.messages(1))
        subscription = broker.subscribe(queue)
        subscription.close()
        subscription.close()
        subscription.wake()
        assert [] == subscription.receive(1, self.patience)

    def test_a_killed_consumer_gives_back(self, broker: Broker, queue: str) -> None:
        """What a consumer held when SIGKILL ended it comes to the others, marked, within the patience."""
        self.need(broker, "shared")
        broker.publish(queue, self.messages(3))
        with forked(self.hold(queue, 3)) as child:
            child.wait_until_said()
            with broker.subscribe(queue) as survivor:
                assert [] == survivor.receive(1, self.silence)
                child.kill()
                again = self.take(survivor, 3)
            assert ["m0", "m1", "m2"] == ids_of(again)
            if broker.capabilities.marks_redelivery:
                assert [True] * 3 == [delivery.redelivered for delivery in again]

    def test_a_killed_consumer_wakes_its_siblings(self, broker: Broker, queue: str) -> None:
        """A sibling that waits without a timeout notices the death by itself."""
        self.need(broker, "shared")
        broker.publish(queue, self.messages(1))
        with forked(self.hold(queue, 1)) as child:
            child.wait_until_said()
            with broker.subscribe(queue) as survivor, ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(survivor.receive, 1, None)
                child.kill()
                assert ["m0"] == ids_of(waiting.result(self.patience))

    def test_a_stopped_consumer_keeps_its_own(self, broker: Broker, queue: str) -> None:
        """A consumer that is slow or stopped is alive; its messages aren't given to others."""
        self.need(broker, "shared")
        broker.publish(queue, self.messages(1))
        with forked(self.hold(queue, 1)) as child:
            child.wait_until_said()
            with broker.subscribe(queue) as sibling:
                os.kill(child.pid, signal.SIGSTOP)
                assert [] == sibling.receive(1, 1.2)
