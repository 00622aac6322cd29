# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Lanes of a group, shared fairly by its subscriptions.

Each lane is a quorum queue with a single active consumer: all subscriptions stand in its line, RabbitMQ serves the
first until it goes. It never makes one go for the sake of others, so subscriptions do that themselves. Each counts the
group's members every second, and

- with more lanes than its share, gives some up;
- when members joined, keeps no more than any share, and lets them pass in every line it merely waits in.

To give a lane up is to hand out nothing more of it, to wait until all in the caller's hands is acknowledged, then to
close its channel and stand in line again, at the end: what was fetched ahead goes back to its place before the next in
line gets anything, hence no two subscriptions have messages of a lane in their hands, and the order is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.brokers.rabbitmq.connection import Connection
from tickrelay_messaging.brokers.rabbitmq.feed import Feed, Inbox, Life
from tickrelay_messaging.brokers.rabbitmq.leaving import leave_line
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.brokers.rabbitmq.names import lane_queues_of, queue_of

COUNT = 1.0
"""Seconds between two counts of the members."""
LEAST_AHEAD = 10
"""Messages that are fetched ahead of each lane, however small a part of the prefetch that is."""


def feeds_of(link: Link, spec: QueueSpec, inbox: Inbox) -> list[Feed]:
    """What one subscription to the spec's one group consumes; the group's own queue first."""
    (group,) = spec.groups
    own = queue_of(spec.name, group)
    if not spec.lanes:
        return [Feed(link, own, inbox)]
    lanes = [Lane(link, name, inbox) for name in lane_queues_of(spec.name, group, spec.lanes)]
    for lane in lanes:
        lane.prefetch = max(LEAST_AHEAD, link.settings.prefetch // spec.lanes)
    return [Membership(link, own, inbox, lanes), *lanes]


class Lane(Feed):
    """One lane; `life` is a place in its line."""

    @property
    def is_ours(self) -> bool:
        """It has brought something, so RabbitMQ serves us until we go."""
        return self.life is not None and self.life.arrived > 0 and not self.life.over

    @property
    def in_hand(self) -> int:
        """Messages the caller has not acknowledged."""
        return self.life.out if self.life is not None else 0

    def give_up(self) -> None:
        """To the end of the line, as soon as nothing of it is in the caller's hands."""
        if (life := self.life) is not None:
            with self.inbox.lock:
                life.over = True
            self._go(life)

    def settle(self, life: Life, tags: Sequence[int], connection: Connection) -> None:
        """See `Feed.settle`."""
        super().settle(life, tags, connection)
        if life.over:
            self._go(life)

    def _go(self, life: Life) -> None:
        if life is self.life and life.channel.is_open and not life.out:
            self.life = None
            self._close(life.channel)

    def _close(self, channel: Any) -> None:
        leave_line(channel, self._name)

    def _wonder(self, life: Life, ready: int) -> None:
        """Somebody else may be working on what is ready; if nobody is, another place in the line helps."""
        life.silences = life.silences + 1 if ready and not life.unsettled else 0
        if life.silences > 1 and life is self.life:
            self.give_up()


class Membership(Feed):
    """The group's own queue: each member consumes from it, and nothing is ever in it."""

    def __init__(self, link: Link, name: str, inbox: Inbox, lanes: Sequence[Lane]) -> None:
        super().__init__(link, name, inbox)
        self._lanes = lanes
        self._members = 0

    def _watch(self, life: Life, seen: int) -> None:
        if seen < 0:
            self._members = 0
        if life is self.life and life.channel.is_open:
            life.channel.queue_declare(self._name, passive=True, callback=self._counted)
            life.channel.connection.ioloop.call_later(COUNT, partial(self._watch, life, 0))

    def _counted(self, answer: Any) -> None:
        members = max(1, answer.method.consumer_count)
        joined = 0 < self._members < members
        self._members = members
        share, odd = divmod(len(self._lanes), members)
        ours = sorted((lane for lane in self._lanes if lane.is_ours), key=lambda lane: -lane.in_hand)
        others = [lane for lane in self._lanes if not lane.is_ours] if joined else []
        for lane in ours[max(1, share + (odd > 0 and not joined)) :] + others:
            lane.give_up()
