# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the memory broker keeps; every method is called with the space's lock held."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Condition

from tickrelay_messaging.brokers.base import Peeked
from tickrelay_messaging.brokers.lanes import lane_of
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.message import Message


class Space:
    """Queues that some brokers share; `changed` is its lock, notified when a receiver should look again."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.queues: dict[str, Queue] = {}


@dataclass(slots=True)
class Stored:
    """A message, and how many groups still need it."""

    headers: Mapping[str, str]
    body: bytes
    published_at: float
    needed_by: int
    lane: int


@dataclass(slots=True)
class Queue:
    """Its messages by position, which counts from 1, and its groups by name; without lanes, `lanes` is 0."""

    lanes: int = 0
    head: int = 0
    stored: dict[int, Stored] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def put(self, messages: Sequence[Message], at: float) -> None:
        """Store messages for every group."""
        first = self.head + 1
        self.head += len(messages)
        if self.groups:
            for position, message in enumerate(messages, first):
                lane = lane_of(message, self.lanes) if self.lanes else 0
                self.stored[position] = Stored(encode(message), message.body, at, len(self.groups), lane)
        for group in self.groups.values():
            group.waiting.extend(range(first, self.head + 1))

    def age_of(self, position: int | None) -> float | None:
        """Seconds since a message was published."""
        return None if position is None else max(0.0, time.time() - self.stored[position].published_at)

    def peeked(self, position: int, *, in_flight: bool) -> Peeked:
        """A message to look at."""
        row = self.stored[position]
        return Peeked(str(position), dict(row.headers), row.body, row.published_at, in_flight=in_flight)


@dataclass(slots=True, eq=False)
class Group:
    """
    One group's view of its queue.

    Attributes:
        waiting: positions nobody holds, oldest first.
        held: position -> the member that holds it.
        again: positions that were handed out and given back.
    """

    queue: Queue = field(repr=False)
    waiting: deque[int] = field(default_factory=deque)
    held: dict[int, int] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    members: set[int] = field(default_factory=set)

    def oldest(self) -> int | None:
        """The oldest position waiting or held."""
        return min((*list(self.waiting)[:1], *self.held), default=None)

    def take(self, member: int, limit: int) -> list[int]:
        """Hand the next positions to a member."""
        if self.queue.lanes:
            return self._take_of_free_lanes(member, limit)
        taken = [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]
        self.held.update(dict.fromkeys(taken, member))
        return taken

    def has_for(self, member: int) -> bool:
        """`take` would find something."""
        return bool(self.waiting) and (not self.queue.lanes or any(self._free(member)))

    def _free(self, member: int) -> Iterator[int]:
        stored = self.queue.stored
        others = {stored[position].lane for position, owner in self.held.items() if owner != member}
        return (position for position in self.waiting if stored[position].lane not in others)

    def _take_of_free_lanes(self, member: int, limit: int) -> list[int]:
        taken = list(islice(self._free(member), limit))
        self.held.update(dict.fromkeys(taken, member))
        self.waiting = deque(position for position in self.waiting if position not in self.held)
        return taken

    def settle(self, member: int, positions: Sequence[int]) -> None:
        """Forget those of the positions that the member holds."""
        settled = {position for position in positions if self.held.get(position) == member}
        for position in settled:
            del self.held[position]
        self.forget(settled)

    def forget(self, positions: Sequence[int] | set[int]) -> None:
        """Drop messages no group needs any more."""
        self.again.difference_update(positions)
        for position in positions:
            row = self.queue.stored[position]
            row.needed_by -= 1
            if not row.needed_by:
                del self.queue.stored[position]

    def end(self) -> None:
        """Nobody needs what is left of it, and what its members hold is nobody's."""
        left = [*self.waiting, *self.held]
        self.waiting.clear()
        self.held.clear()
        self.forget(left)

    def leave(self, member: int) -> None:
        """End a membership; what it holds waits again, in its old place."""
        self.members.discard(member)
        back = [position for position, owner in self.held.items() if owner == member]
        for position in back:
            del self.held[position]
        self.again.update(back)
        self.waiting = deque(sorted([*back, *self.waiting]))
