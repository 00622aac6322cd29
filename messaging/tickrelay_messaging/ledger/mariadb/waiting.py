# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Waking who waits, without NOTIFY: a row a topic counts rings, in memory, so that ringing waits for no disk. One thread
per process looks at them every 50 ms, and only while somebody waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import pymysql
from pymysql.constants import ER

from tickrelay_messaging.ledger.hearing import Ear, Topic
from tickrelay_messaging.ledger.mariadb.connecting import Connector, Raw
from tickrelay_messaging.ledger.mariadb.errors import number

EVERY = 0.05
"""Seconds between looks."""
_IDLE = 30.0
_TABLE = (
    "CREATE TABLE IF NOT EXISTS bells (topic VARCHAR(32) PRIMARY KEY, rings BIGINT NOT NULL) "
    "ENGINE=MEMORY DEFAULT CHARSET=utf8mb4"
)
_RING = "INSERT INTO bells VALUES (%s, 1) ON DUPLICATE KEY UPDATE rings = rings + 1"
_LOOK = "SELECT topic, rings FROM bells"


def ring(raw: Raw, topic: Topic) -> None:
    """Tell every process that looks."""
    try:
        raw.execute(_RING, (topic.value,))
    except pymysql.ProgrammingError as error:
        if number(error) != ER.NO_SUCH_TABLE:
            raise
        raw.execute(_TABLE)
        raw.execute(_RING, (topic.value,))


class Watcher(Ear):
    """Looks at the counts."""

    def __init__(self, connector: Connector) -> None:
        super().__init__()
        self._connect: Callable[[], Raw] = connector.connect
        self._waiting = 0
        raw = self._connect()
        self._rings = _look(raw)
        self._thread = Thread(target=self._run, args=(raw,), name="tickrelay-bells", daemon=True)
        self._thread.start()

    def wait(self, topic: Topic, seen: int, timeout: float | None) -> int:
        with self._heard:
            self._waiting += 1
            self._heard.notify_all()
        try:
            return super().wait(topic, seen, timeout)
        finally:
            with self._heard:
                self._waiting -= 1

    def close(self) -> None:
        """End the thread and its connection."""
        if not self.is_ours:
            return
        with self._heard:
            self._closed = True
            self._heard.notify_all()
        self._thread.join(_IDLE)

    def _run(self, raw: Raw | None) -> None:
        failures = 0
        while not self._closed:
            try:
                raw = raw or self._connect()
                self._compare(_look(raw))
                failures = 0
            except (pymysql.MySQLError, OSError):
                failures += 1
                _close(raw)
                raw = None
                self._tell(list(Topic))
                time.sleep(min(EVERY * 2**failures, 1.0))
            self._pause()
        _close(raw)

    def _pause(self) -> None:
        with self._heard:
            self._heard.wait_for(lambda: self._waiting or self._closed, _IDLE)
        if not self._closed:
            time.sleep(EVERY)

    def _compare(self, rings: dict[str, int]) -> None:
        before, self._rings = self._rings, rings
        self._tell([topic for topic in Topic if rings.get(topic.value) != before.get(topic.value)])


def _look(raw: Raw) -> dict[str, int]:
    try:
        return dict(raw.execute(_LOOK).fetchall())
    except pymysql.ProgrammingError as error:
        if number(error) != ER.NO_SUCH_TABLE:
            raise
        return {}


def _close(raw: Raw | None) -> None:
    if raw is not None:
        with suppress(pymysql.MySQLError):  # it is closed already
            raw.close()
