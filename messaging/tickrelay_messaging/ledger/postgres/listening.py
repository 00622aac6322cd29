# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""LISTEN and NOTIFY: one connection and one thread per process hear for everybody who waits in it."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from threading import Thread

import psycopg

from tickrelay_messaging.ledger.hearing import Ear, Topic
from tickrelay_messaging.ledger.postgres.connecting import Connector, Raw
from tickrelay_messaging.ledger.postgres.errors import translated

PROBE = 30.0
"""Seconds of silence after which the connection is tried, so that a server that vanished is noticed."""
_CHANNEL = "tickrelay_{}"


def notify(raw: Raw, topic: Topic) -> None:
    """Tell every process that listens."""
    raw.execute(f"NOTIFY {_CHANNEL.format(topic.value)}")


class Listener(Ear):
    """By one connection and one thread."""

    def __init__(self, connector: Connector) -> None:
        super().__init__()
        self._connector = connector
        self._ear, self._voice = os.pipe()
        with translated(connector.where):
            raw = self._listen()
        self._thread = Thread(target=self._run, args=(raw,), name="tickrelay-listen", daemon=True)
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

    def _listen(self) -> Raw:
        raw = self._connector.connect()
        for topic in Topic:
            raw.execute(f"LISTEN {_CHANNEL.format(topic.value)}")
        return raw

    def _run(self, raw: Raw | None) -> None:
        failures = 0
        while not self._closed:
            try:
                raw = raw or self._listen()
                failures = 0
                self._hear(raw)
            except psycopg.Error:
                failures += 1
                _close(raw)
                raw = None
                self._tell(list(Topic))
                select.select([self._ear], [], [], min(0.1 * 2**failures, 5.0))
        _close(raw)

    def _hear(self, raw: Raw) -> None:
        deadline = time.monotonic() + PROBE
        while not self._closed:
            ready, _, _ = select.select(
                [raw.fileno(), self._ear], [], [], max(0.0, deadline - time.monotonic())
            )
            if not ready:
                raw.execute("SELECT 1")
                deadline = time.monotonic() + PROBE
            raw.pgconn.consume_input()
            self._tell(_topics(raw.pgconn.notifies))


def _topics(take: Callable[[], object]) -> list[Topic]:
    """What has come in, once each."""
    found = set()
    while (note := take()) is not None:
        channel: bytes = note.relname  # type: ignore[attr-defined]  # psycopg.pq.PGnotify
        found.add(channel.decode().partition("_")[2])
    return [topic for topic in Topic if topic.value in found]


def _close(raw: Raw | None) -> None:
    if raw is not None:
        raw.close()
