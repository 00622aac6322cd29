# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One connection and the thread that owns it.

pika isn't thread-safe: whatever touches the connection runs in its thread, handed over by `post`. The thread answers
heartbeats however busy the callers are, and connects anew, with a growing and jittered pause, until it is closed.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Event, Thread, current_thread
from typing import Protocol

from pika import ConnectionParameters
from pika.adapters.select_connection import IOLoop

from tickrelay_messaging.brokers.rabbitmq.connection import Connection
from tickrelay_messaging.brokers.rabbitmq.errors import connection_error
from tickrelay_messaging.brokers.rabbitmq.settings import Settings
from tickrelay_messaging.brokers.tls import tls_alert
from tickrelay_messaging.errors import BrokerRefused, BrokerUnavailable, CallerError

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 3.0
"""Seconds between two attempts to connect."""
_HUNG_UP = "StreamLost"
"""In pika's errors where the broker ended the connection without a word that arrived."""
LISTENING = 3.0
"""Seconds to listen for why a broker hung up on a client it doesn't know."""
GOODBYE = 1.0
"""Seconds a broker has to answer a close."""


def pause_before(attempt: int) -> float:
    """Seconds to wait before an attempt, 0 being the first again after a loss."""
    longest = min(FIRST_PAUSE * 2.0 ** min(attempt, 10), LONGEST_PAUSE)
    return random.uniform(0.5, 1) * longest  # noqa: S311 - jitter


class Listener(Protocol):
    """Told in the owner thread what becomes of the connection."""

    def up(self, connection: Connection) -> None:
        """There is a new one."""

    def down(self, error: BrokerUnavailable) -> None:
        """It was lost, or another attempt failed."""


class Link:
    """Connects when it is first asked for; after a failure that trying again can't mend, when it is asked again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._changed = Condition()
        self._listeners: list[Listener] = []
        self._connection: Connection | None = None
        self._opening: Connection | None = None
        self._loop: IOLoop | None = None
        self._error: BrokerUnavailable | None = None
        self._thread: Thread | None = None
        self._failed = 0
        self._was_connected = self._closed = False
        self._hurry = Event()

    # --- for callers -----------------------------------------------------------------------------------------

    def connect(self, deadline: float) -> Connection:
        """
        The open connection.

        Args:
            deadline: monotonic clock. A connection that was lost is waited for; one that could never be made isn't.

        Raises:
            BrokerUnavailable: there is none.
        """
        with self._changed:
            self._start()
            while self._connection is None:
                if self._thread is None:
                    raise self._trouble()
                if not self._changed.wait(deadline - time.monotonic()):
                    raise self._trouble()
            return self._connection

    def post(self, callback: Callable[[Connection], None]) -> bool:
        """Let a callback run in the owner thread with the present connection; False if there is none."""
        with self._changed:
            connection, loop = self._connection, self._loop
            if connection is None or loop is None:
                return False
            loop.add_callback_threadsafe(lambda: _unless_closed(connection, callback))
            return True

    def listen(self, listener: Listener) -> None:
        """Tell `listener` from now on, first of all about a connection that is there already."""
        with self._changed:
            self._listeners.append(listener)
            trouble = self._trouble() if self._thread is None else None
        if trouble is not None:
            listener.down(trouble)
        else:
            self.post(listener.up)

    def revive(self) -> None:
        """Try again if the thread gave up, without waiting for what comes of it."""
        with self._changed:
            if not self._closed:
                self._start()

    def forget(self, listener: Listener) -> None:
        """Tell it nothing more."""
        with self._changed, suppress(ValueError):
            self._listeners.remove(listener)

    def close(self) -> None:
        """Say goodbye, and end the thread; within about two seconds, also where the broker doesn't answer."""
        with self._changed:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._changed.notify_all()
            self._hurry.set()
            if loop is not None:
                loop.add_callback_threadsafe(lambda: self._say_goodbye(loop))
        if thread is not None and thread is not current_thread():
            thread.join(2 * GOODBYE)

    def abandon(self) -> None:
        """In a forked child: drop the parent's socket without a word on it, so that the parent alone keeps it alive."""
        if (connection := self._opening) is not None and (socket := connection.socket()) is not None:
            with suppress(OSError):
                os.close(socket.detach())

    # --- in the owner thread -----------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._closed:
            raise CallerError("this broker is closed; open another")
        if self._thread is None:
            self._error = None
            self._thread = Thread(target=self._own, name="tickrelay-rabbitmq", daemon=True)
            self._thread.start()

    def _own(self) -> None:
        while self._live():
            self._hurry.wait(pause_before(self._failed))
            self._failed += 1

    def _live(self) -> bool:
        """One connection, from the attempt to its end; whether to try again."""
        loop, ends = IOLoop(), []
        node = self.settings.nodes[self._failed % len(self.settings.nodes)]

        def end(_: Connection, error: BaseException) -> None:
            ends.append(error)
            loop.stop()

        with self._changed:
            self._loop = loop
        try:
            if not self._closed:
                self._opening = Connection(node, self._opened, end, end, custom_ioloop=loop)
                loop.start()
        except Exception as error:  # noqa: BLE001 - whatever pika stumbles over, the connection is gone
            ends.append(error)
        why = ends[0] if ends else None
        if self._connection is None and _HUNG_UP in repr(why):
            why = _alert(node) or why
        return self._lost(loop, why)

    def _opened(self, connection: Connection) -> None:
        with self._changed:
            self._connection = connection
            self._was_connected, self._failed, self._error = True, 0, None
            listeners = list(self._listeners)
            self._changed.notify_all()
        for listener in listeners:
            listener.up(connection)

    def _lost(self, loop: IOLoop, error: BaseException | None) -> bool:
        """Tell everybody; the loop is closed last, under the lock, so that nothing is posted to it afterwards."""
        ours = connection_error(error, self.settings.where)
        hopeful = self._was_connected or self._failed + 1 < len(self.settings.nodes)
        again = hopeful and not self._closed and not isinstance(ours, BrokerRefused)
        self.abandon()
        with self._changed:
            self._connection = self._opening = self._loop = None
            loop.close()
            self._error = ours
            if not again:
                self._thread = None
            listeners = list(self._listeners)
            self._changed.notify_all()
        for listener in listeners:
            listener.down(ours)
        return again

    def _say_goodbye(self, loop: IOLoop) -> None:
        if self._connection is None or not self._connection.is_open:
            loop.stop()
            return
        self._connection.close()
        loop.call_later(GOODBYE, loop.stop)

    def _trouble(self) -> BrokerUnavailable:
        if self._error is None:
            return BrokerUnavailable(f"{self.settings.where}: no connection in time")
        return type(self._error)(str(self._error))


def _unless_closed(connection: Connection, callback: Callable[[Connection], None]) -> None:
    if connection.is_open:
        callback(connection)


def _alert(node: ConnectionParameters) -> ssl.SSLError | None:
    tls = node.ssl_options
    if tls is None:
        return None

    def connect() -> socket.socket:
        plain = socket.create_connection((node.host, node.port), LISTENING)
        return tls.context.wrap_socket(plain, server_hostname=tls.server_hostname)  # type: ignore[no-any-return]

    return tls_alert(connect, LISTENING)
