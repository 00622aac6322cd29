# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Hearing of changes in a store on a server: one ear per process counts what is told, for everybody who waits in it.

What carries the word is the store's own: NOTIFY, a channel, a table of counts.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection
from enum import StrEnum
from threading import Condition, Lock, local

from tickrelay_messaging.errors import ClaimLost


class Topic(StrEnum):
    """What a change may be good for."""

    WORK = "work"
    """Something waits for a consumer."""
    OUTCOMES = "outcomes"
    """Something became of a message."""


class Ear(ABC):
    """
    Counts what it hears by topic; whoever waits remembers the count it has seen.

    A lost connection counts as having heard of everything, since something may have been missed.
    """

    def __init__(self) -> None:
        self._heard = Condition()
        self._counts: Counter[Topic] = Counter()
        self._pid = os.getpid()
        self._closed = False

    @property
    def is_ours(self) -> bool:
        """It was made in this process, and is open."""
        return self._pid == os.getpid() and not self._closed

    def count(self, topic: Topic) -> int:
        """To be given to `wait`."""
        return self._counts[topic]

    def wait(self, topic: Topic, seen: int, timeout: float | None) -> int:
        """Until more was heard of a topic than was `seen`, or the time is over; returns what has been heard."""
        with self._heard:
            self._heard.wait_for(lambda: self._counts[topic] != seen or self._closed, timeout)
            return self._counts[topic]

    @abstractmethod
    def close(self) -> None:
        """Hear no more; whoever waits is let go. Closing twice is no error."""

    def _tell(self, topics: Collection[Topic]) -> None:
        if topics:
            with self._heard:
                self._counts.update(topics)
                self._heard.notify_all()


class Bells:
    """
    See `Ledger.wait` and `Ledger.wait_for_work`.

    Args:
        listen: makes an ear; called when somebody waits for the first time, and again after a fork.
    """

    def __init__(self, listen: Callable[[], Ear]) -> None:
        self._listen = listen
        self._ear: Ear | None = None
        self._starting = Lock()
        self._seen = local()
        self._owners: dict[int, int] = {}

    def wait(self, timeout: float | None) -> bool:
        """See `Ledger.wait`."""
        ear = self._listening()
        known: tuple[Ear, int] | None = getattr(self._seen, "place", None)
        if known is None or known[0] is not ear:
            self._seen.place = ear, ear.count(Topic.OUTCOMES)
            return True
        count = ear.wait(Topic.OUTCOMES, known[1], timeout)
        self._seen.place = ear, count
        return count != known[1]

    def hang(self, owner: int) -> None:
        """From now on this owner hears of work."""
        self._owners[owner] = self._listening().count(Topic.WORK)

    def take_down(self, owner: int) -> None:
        """It hears no more."""
        self._owners.pop(owner, None)

    def wait_for_work(self, owner: int, timeout: float | None) -> bool:
        """
        See `Ledger.wait_for_work`.

        Raises:
            ClaimLost: the owner's bell doesn't hang here.
        """
        seen = self._owners.get(owner)
        if seen is None or self._ear is None or not self._ear.is_ours:
            raise ClaimLost("this consumer has retired, or was enrolled by another process")
        count = self._ear.wait(Topic.WORK, seen, timeout)
        if owner in self._owners:
            self._owners[owner] = count
        return count != seen

    def close(self) -> None:
        """Hear no more."""
        self._owners.clear()
        if self._ear is not None:
            self._ear.close()

    def _listening(self) -> Ear:
        with self._starting:
            if self._ear is None or not self._ear.is_ours:
                self._ear = self._listen()
            return self._ear
