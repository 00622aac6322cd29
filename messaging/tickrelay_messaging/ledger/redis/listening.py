# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Hearing of changes: one subscribed connection and one thread per process hear for everybody who waits in it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from tickrelay_messaging.brokers.redis.errors import in_our_words
from tickrelay_messaging.brokers.redis.wire import Wire, pack
from tickrelay_messaging.errors import TickrelayError
from tickrelay_messaging.ledger.hearing import Ear, Topic
from tickrelay_messaging.ledger.redis.connecting import Store

PROBE = 30.0
"""Seconds of silence after which the connection is tried, so that a server that vanished is noticed."""


class Listener(Ear):
    """By one subscribed connection and one thread."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._channels = {store.base + topic.value.encode(): topic for topic in Topic}
        self._ear, self._voice = os.pipe()
        wire = self._listen()
        self._thread = threading.Thread(target=self._run, args=(wire,), name="tickrelay-listen", daemon=True)
        self._thread.start()

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
            wire.send(pack("SUBSCRIBE", *self._channels), len(self._channels), within=self._patience)
            for _ in self._channels:
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
                self._tell(list(Topic))
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
                self._tell((topic,))


def _close(wire: Wire | None) -> None:
    if wire is not None:
        with suppress(TickrelayError, OSError):
            wire.close()
