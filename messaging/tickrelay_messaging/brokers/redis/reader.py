# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Waiting for messages inside the server: `XREADGROUP BLOCK` on a connection of its own.

It reads a queue's stream and its bell at once, so both a publisher and a sibling that gives messages back end the wait,
without polling. A local `wake` only makes a socket of this process readable, and so may come from a signal handler; the
waiting thread listens to it beside its connection, and then has the server let it go (`CLIENT UNBLOCK`).
"""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Sequence
from typing import Any

from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.wire import Argument, Wire, pack
from tickrelay_messaging.errors import TickrelayError

LONGEST_WAIT = 10.0
"""Longest time in seconds the server may be asked to keep silent; one silent for longer is dead."""


class Reader:
    """
    A connection for reading, made anew when it breaks. For one thread at a time.

    Args:
        pool: where it connects.
        streams: of the queue and its bell.
        group: whose messages it reads.
        member: for whom.

    Attributes:
        lost: an answer may have been lost, and messages with it; set here, reset by whoever has looked after them.
    """

    def __init__(self, pool: Pool, streams: tuple[bytes, bytes], group: str, member: bytes) -> None:
        self._pool = pool
        self._streams = streams
        self._group, self._member = group, member
        self._wire: Wire | None = None
        self.lost = False

    def read(self, limit: int, wait: float, ear: socket.socket) -> tuple[Sequence[Any], bool]:
        """
        New messages, and whether the bell was rung.

        Args:
            limit: most messages.
            wait: longest wait in seconds; less is possible.
            ear: ends the wait when it becomes readable.

        Raises:
            TickrelayError: no answer, or an error.
        """
        wait = min(wait, LONGEST_WAIT)
        block: tuple[Argument, ...] = ("BLOCK", math.ceil(wait * 1000)) if wait > 0 else ()
        head = ("XREADGROUP", "GROUP", self._group, self._member, "COUNT", limit)
        command = (*head, *block, "STREAMS", *self._streams, ">", ">")
        found: dict[bytes, Sequence[Any]] = dict(self._ask(command, wait, ear) or ())
        stream, bell = self._streams
        return found.get(stream, ()), bell in found

    def _ask(self, command: Sequence[Argument], wait: float, ear: socket.socket) -> Any:
        """
        The answer to a command.

        Args:
            wait: how long in seconds it asks the server to keep silent.
            ear: has the server answer now, when it becomes readable.

        Raises:
            TickrelayError: no answer, or an error.
        """
        wire = self._connected()
        try:
            wire.send(pack(*command), within=self._pool.settings.timeout)
            if wait > 0:
                self._wait(wire, wait, ear)
            return wire.read(within=self._pool.settings.timeout)
        except BaseException as error:
            self.lost = True
            if not isinstance(error, TickrelayError) or not wire.is_usable():
                self.hang_up()
            raise

    def hang_up(self) -> None:
        """Close the connection; the next question makes another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _connected(self) -> Wire:
        if self._wire is not None and not self._wire.is_usable():
            self.hang_up()
            self.lost = True
        if self._wire is None:
            self._wire = self._pool.connect()
        return self._wire

    def _wait(self, wire: Wire, wait: float, ear: socket.socket) -> None:
        """Until the server answers, somebody pokes, or the server has been silent for too long."""
        poll = select.poll()
        poll.register(wire.fileno(), select.POLLIN)
        poll.register(ear.fileno(), select.POLLIN)
        ready = [one for one, _ in poll.poll((wait + self._pool.settings.timeout) * 1000)]
        if ready == [ear.fileno()]:
            # Its answer comes at once: none, or what was published at this very moment.
            with self._pool.borrow() as other:
                other.call("CLIENT", "UNBLOCK", wire.id)
