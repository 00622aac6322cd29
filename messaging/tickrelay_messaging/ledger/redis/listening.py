# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Hearing of changes: one subscribed connection and one thread per process hear for everybody who waits in it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from tickrelay_messaging.brokers.redis.errors import in_our_words
from tickrelay_messaging.brokers.redis.wire import Wire, pack
from tickrelay_messaging.errors import ClaimLost, TickrelayError
from tickrelay_messaging.ledger.redis.connecting import Store

PROBE = 30.0
"""Seconds of silence after which the connection is tried, so that a server that vanished is noticed."""
OUTCOMES, WORK = b"outcomes", b"work"
_TOPICS = (OUTCOMES, WORK)


class Listener:
    """
    Counts what it hears by topic; whoever waits remembers the count it has seen.

    A lost connection counts as having heard of everything, since something may have been missed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._channels = {store.base + topic: topic for topic in _TOPICS}
        self._heard = threading.Condition()
        self._counts: Counter[bytes] = Counter()
        self._pid = os.getpid()
        self._closed = False
        self._ear, self._voice = os.pipe()
        wire = self._listen()
        self._thread = threading.Thread(target=self._run, args=(wire,), name="tickrelay-listen", daemon=True)
        self._thread.start()

    @property
    def is_ours(self) -> bool:
        """It was made in this process, and is open."""
        return self._pid == os.getpid() and not self._closed

    def count(self, topic: bytes) -> int:
        """To be given to `wait`."""
        return self._counts[topic]

    def wait(self, topic: bytes, seen: int, timeout: float | None) -> int:
        """Until more was heard of a topic than was `seen`, or the time is over; returns what has been heard."""
        with self._heard:
            self._heard.wait_for(lambda: self._counts[topic] != seen or self._closed, timeout)
            return self._counts[topic]

    def close(self) -> None:
        """End the thread and its connection."""
        if not self.is_ours:
            return
        self._closed = True
        os.write(self._voice, b"!")
        self._thread.join(PROBE)
        if not self._thread.is_alive():  # not before: it listens to them
            os.close(self._ear)
            os.close(self._voice)
        with self._heard:
            self._heard.notify_all()

    def _listen(self) -> Wire:
        wire = self._store.connect()
        try:
            wire.send(pack("SUBSCRIBE", *self._channels), len(_TOPICS), within=self._patience)
            for _ in _TOPICS:
                wire.read(within=self._patience)
        except BaseException:
            wire.close()
            raise
        return wire

    @property
    def _patience(self) -> float:
        return self._store.settings.server.timeout

    def _run(self, wire: Wire | None) -> None:
        failures = 0
        while not self._closed:
            try:
                wire = wire or self._listen()
                failures = 0
                self._hear(wire)
            except (TickrelayError, OSError):
                failures += 1
                _close(wire)
                wire = None
                self._count(_TOPICS)
                select.select([self._ear], [], [], min(0.1 * 2 ** min(failures, 6), 5.0))
        _close(wire)

    def _hear(self, wire: Wire) -> None:
        deadline = time.monotonic() + PROBE
        while not self._closed:
            poll = select.poll()
            poll.register(wire.fileno(), select.POLLIN)
            poll.register(self._ear, select.POLLIN)
            ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
            if not ready:
                wire.send(pack("PING"), within=self._patience)
                self._note(wire.read(within=self._patience))
                deadline = time.monotonic() + PROBE
            while wire.fileno() in ready and self._has_more(wire):
                self._note(wire.read(within=self._patience))

    def _has_more(self, wire: Wire) -> bool:
        """Whether a message lies in redis-py's buffer or on the socket."""
        try:
            return bool(wire._connection.can_read(0))  # noqa: SLF001 - the one thing a wire has no name for
        except (RedisError, OSError) as error:
            raise in_our_words(error, self._store.settings.server.where) from error

    def _note(self, told: Sequence[object]) -> None:
        if told[0] == b"message":
            topic = self._channels.get(told[1])  # type: ignore[call-overload]  # bytes, as SUBSCRIBE answers
            if topic:
                self._count((topic,))

    def _count(self, topics: Sequence[bytes]) -> None:
        with self._heard:
            self._counts.update(topics)
            self._heard.notify_all()


class Bells:
    """See `Ledger.wait` and `Ledger.wait_for_work`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listener: Listener | None = None
        self._starting = threading.Lock()
        self._seen = threading.local()
        self._owners: dict[int, int] = {}

    def wait(self, timeout: float | None) -> bool:
        """See `Ledger.wait`."""
        listener = self._listening()
        known: tuple[Listener, int] | None = getattr(self._seen, "place", None)
        if known is None or known[0] is not listener:
            self._seen.place = listener, listener.count(OUTCOMES)
            return True
        count = listener.wait(OUTCOMES, known[1], timeout)
        self._seen.place = listener, count
        return count != known[1]

    def hang(self, owner: int) -> None:
        """From now on this owner hears of work."""
        self._owners[owner] = self._listening().count(WORK)

    def take_down(self, owner: int) -> None:
        """It hears no more."""
        self._owners.pop(owner, None)

    def wait_for_work(self, owner: int, timeout: float | None) -> bool:
        """See `Ledger.wait_for_work`."""
        seen = self._owners.get(owner)
        if seen is None or self._listener is None or not self._listener.is_ours:
            raise ClaimLost("this consumer has retired, or was enrolled by another process")
        count = self._listener.wait(WORK, seen, timeout)
        if owner in self._owners:
            self._owners[owner] = count
        return count != seen

    def close(self) -> None:
        """Hear no more."""
        self._owners.clear()
        if self._listener is not None:
            self._listener.close()

    def _listening(self) -> Listener:
        with self._starting:
            if self._listener is None or not self._listener.is_ours:
                self._listener = Listener(self._store)
            return self._listener


def _close(wire: Wire | None) -> None:
    if wire is not None:
        with suppress(TickrelayError, OSError):
            wire.close()
