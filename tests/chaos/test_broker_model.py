# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Brokers beside their model: publishing, receiving, acknowledging, leaving and dying connections, in any order.

`TICKRELAY_EXAMPLES` says how many histories, 50 by default; the long form takes hundreds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.services.redis import RedisServer, running_server
from tickrelay_messaging.brokers import Broker, Delivery, QueueSpec, Subscription, open_broker
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.message import Message

SEATS = st.sampled_from([0, 1])
GROUPS = ("first", "second")
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class BrokerMachine(RuleBasedStateMachine):
    """Two groups, two subscriptions each; in the model a group is what is ready, in whose hands, and acknowledged."""

    def connect(self) -> Broker:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp(dir=SHM)
        self.broker = self.connect()
        self.queue = f"model-{os.path.basename(self.folder)}"
        self.broker.declare(QueueSpec(self.queue, groups=GROUPS))
        self.published: list[str] = []
        self.ready: dict[str, set[str]] = {group: set() for group in GROUPS}
        self.acknowledged: dict[str, set[str]] = {group: set() for group in GROUPS}
        self.hands: dict[tuple[str, int], dict[str, Delivery]] = {}
        self.seats: dict[tuple[str, int], Subscription] = {}
        self.seen: Counter[tuple[str, str]] = Counter()

    def teardown(self) -> None:
        if hasattr(self, "broker"):
            for subscription in self.seats.values():
                subscription.close()
            self.broker.close()
            shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 5))
    def publish(self, count: int) -> None:
        ids = [f"m{len(self.published) + n}" for n in range(count)]
        self.broker.publish(self.queue, [Message.of(name, id=name) for name in ids])
        self.published += ids
        for ready in self.ready.values():
            ready |= set(ids)

    @rule(group=st.sampled_from(GROUPS), seat=SEATS, limit=st.integers(1, 6))
    def receive(self, group: str, seat: int, limit: int) -> None:
        place = (group, seat)
        if place not in self.seats:
            self.seats[place] = self.broker.subscribe(self.queue, group)
            self.hands[place] = {}
        taken = self._take(place, limit)
        ids = [decode(one.headers, one.body).id for one in taken]
        assert len(ids) == min(limit, len(self.ready[group])), "all that is ready is there to be taken"
        assert set(ids) <= self.ready[group], "nothing acknowledged, in other hands or foreign comes"
        for name, delivery in zip(ids, taken, strict=True):
            assert delivery.redelivered or not self.seen[group, name]
            self.seen[group, name] += 1
            self.hands[place][name] = delivery
        self.ready[group] -= set(ids)

    def _take(self, place: tuple[str, int], limit: int) -> list[Delivery]:
        """One call may bring fewer than there are: Redis gives what comes again and what is new apart."""
        taken: list[Delivery] = []
        while len(taken) < limit and (more := self.seats[place].receive(limit - len(taken), 0.0)):
            taken += more
        return taken

    @precondition(lambda self: any(self.hands.values()))
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(place for place, hand in self.hands.items() if hand)))
        names = data.draw(st.lists(st.sampled_from(sorted(self.hands[place])), min_size=1, unique=True))
        chosen = [self.hands[place].pop(name) for name in names]
        self.seats[place].acknowledge(chosen)
        self.seats[place].acknowledge(chosen[:1])
        self.acknowledged[place[0]] |= set(names)

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.seats)))
        self.seats.pop(place).close()
        self.ready[place[0]] |= self.hands.pop(place).keys()

    @rule(group=st.sampled_from(GROUPS))
    def purge(self, group: str) -> None:
        assert len(self.ready[group]) == self.broker.purge(self.queue, group)
        self.acknowledged[group] |= self.ready[group]
        self.ready[group] = set()

    @invariant()
    def depth_is_the_truth(self) -> None:
        """Ready and in flight, in every group."""
        rows = {row.group: (row.ready, row.in_flight) for row in self.broker.stats(self.queue)}
        for group in GROUPS:
            held = sum(len(hand) for place, hand in self.hands.items() if place[0] == group)
            assert (len(self.ready[group]), held) == rows[group]

    @invariant()
    def nothing_is_lost(self) -> None:
        """Whatever was published is ready, in one pair of hands, or acknowledged: in one of them."""
        for group in GROUPS:
            held = [name for place, hand in self.hands.items() if place[0] == group for name in hand]
            everywhere = [*self.ready[group], *held, *self.acknowledged[group]]
            assert sorted(self.published) == sorted(everywhere)


class MemoryMachine(BrokerMachine):
    """`memory:`."""

    def connect(self) -> Broker:
        return open_broker("memory:")


class SqliteMachine(BrokerMachine):
    """A file; all connections may go and come back in between, as after a restart of everything."""

    def connect(self) -> Broker:
        return open_broker(f"sqlite:///{Path(self.folder) / 'queue.db'}")

    @rule()
    def restart(self) -> None:
        for place, subscription in self.seats.items():
            subscription.close()
            self.ready[place[0]] |= self.hands[place].keys()
        self.seats, self.hands = {}, {}
        self.broker.close()
        self.broker = self.connect()


SETTINGS = settings(
    max_examples=int(os.environ.get("TICKRELAY_EXAMPLES", "50")),
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


class TestMemoryModel(MemoryMachine.TestCase):
    """Whatever happens, the memory broker says what the model says."""

    settings = SETTINGS


class TestSqliteModel(SqliteMachine.TestCase):
    """Whatever happens, the SQLite broker says what the model says."""

    settings = SETTINGS


class RedisMachine(BrokerMachine):
    """Streams on one server, a queue a history."""

    server: RedisServer

    def connect(self) -> Broker:
        return open_broker(self.server.url())


class TestRedisModel(RedisMachine.TestCase):
    """Whatever happens, Redis says what the model says."""

    settings = SETTINGS

    def setUp(self) -> None:
        stack = ExitStack()
        self.addCleanup(stack.close)
        RedisMachine.server = stack.enter_context(running_server(Path(tempfile.mkdtemp(dir=SHM))))
