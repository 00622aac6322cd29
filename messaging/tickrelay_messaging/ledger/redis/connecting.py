# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Scripts and reads on one ledger: the epoch is checked with each, replicas are waited for, errors are a ledger's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from tickrelay_messaging.brokers.redis.pool import Pool
from tickrelay_messaging.brokers.redis.wire import Argument, Wire
from tickrelay_messaging.errors import ClaimLost, LedgerLost, LedgerUnavailable, StorageCorrupt
from tickrelay_messaging.ledger.clocks import clock_offset
from tickrelay_messaging.ledger.records import Owner
from tickrelay_messaging.ledger.redis import durability
from tickrelay_messaging.ledger.redis.errors import NoOwner, NoScript, translated
from tickrelay_messaging.ledger.redis.losses import Losses
from tickrelay_messaging.ledger.redis.scripts import Script
from tickrelay_messaging.ledger.redis.settings import LedgerSettings

SCHEMA = b"1"
WAIT_MILLISECONDS = 5_000
_TIME_HOLDS = 60.0
"""Seconds until the server is asked for its time again."""


class Store:
    """
    Safe from any thread, and after a fork.

    Args:
        settings: where it is.
        clock: Unix seconds, for tests; the server's by default.

    Attributes:
        id: the ledger's, its epoch.
        losses: what this process knows to be in the ledger, in case it gets lost.
    """

    def __init__(self, settings: LedgerSettings, clock: Callable[[], float] | None = None) -> None:
        self.settings = settings
        self.base = settings.base
        self._clock = clock
        self._pool = Pool(settings.server)
        self.losses = Losses()
        try:
            with translated(), self._pool.borrow() as wire:
                self._wait = durability.check(wire, settings)
                self.id = self._open(wire)
        except BaseException:
            self._pool.close()
            raise
        self._epoch = self.id.encode()
        self._told = (-_TIME_HOLDS, 0.0)
        """When the server was asked (monotonic seconds), and what it said; in one piece, as any thread may read it."""

    def now(self) -> float:
        """The server's Unix seconds: asked once a minute, and counted on by a clock that nobody sets."""
        if self._clock is not None:
            return self._clock()
        counted, (asked, told) = time.monotonic(), self._told
        if counted - asked > _TIME_HOLDS:
            with translated(), self._pool.borrow() as wire:
                ahead = clock_offset(lambda: _clock_of(wire), time.monotonic)
            counted = time.monotonic()
            asked, told = self._told = (counted, counted + ahead)
        return told + counted - asked

    def run(self, script: Script, *arguments: Argument) -> Any:
        """
        One script, one round trip.

        Raises:
            LedgerUnavailable: nothing is known of what was done, or too few replicas have it.
            LedgerLost: the ledger isn't there any more.
        """
        now = b"" if self._clock is None else repr(self._clock()).encode()
        head = (1, self.base, self._epoch, now)
        try:
            return self._run(script, (b"EVALSHA", script.sha, *head, *arguments))
        except NoScript:
            return self._run(script, (b"EVAL", script.text, *head, *arguments))

    def run_as(self, owner: Owner, script: Script, *arguments: Argument) -> Any:
        """The same for a script that only a live owner may run."""
        try:
            return self.run(script, *arguments)
        except NoOwner as error:
            raise ClaimLost(
                f"consumer {owner.name} was taken for dead, as it was silent for over {owner.lease:g} s"
            ) from error

    def read(self, *commands: Sequence[Argument]) -> list[Any]:
        """Commands that only read, in one round trip; the first argument of each gets the prefix."""
        asked = [(name, self.base + _bytes(key), *rest) for name, key, *rest in commands]
        with translated(), self._pool.borrow() as wire:
            epoch, *answers = wire.call_all([("HGET", self.base + b"meta", "id"), *asked])
        if epoch != self._epoch:
            raise self._lost()
        return answers

    def connect(self) -> Wire:
        """A connection of the caller's own."""
        with translated():
            return self._pool.connect()

    def close(self) -> None:
        """Hang up."""
        self._pool.close()

    def _run(self, script: Script, command: Sequence[Argument]) -> Any:
        try:
            with translated(), self._pool.borrow() as wire:
                if not (self._wait and script.writes):
                    return wire.call(*command)
                answer, replicas = wire.call_all(
                    [command, ("WAIT", self._wait, WAIT_MILLISECONDS)],
                    within=self.settings.server.timeout + WAIT_MILLISECONDS / 1000,
                )
        except LedgerLost as error:
            raise self._lost() from error
        if replicas < self._wait:
            raise LedgerUnavailable(
                f"{self.settings.server.where}: only {replicas} of {self._wait} replicas have what was written; "
                "see what has become of them, or say ?wait=0"
            )
        return answer

    def _lost(self) -> LedgerLost:
        return LedgerLost(
            f"{self.settings.server.where}: ledger {self.id} is gone: the server was flushed, or is another one. "
            f"{self.losses.told()} Find out what happened before you start consumers on a new ledger"
        )

    def _open(self, wire: Wire) -> str:
        key = self.base + b"meta"
        found, schema = wire.call("HMGET", key, "id", "schema")
        wanted = self.settings.id
        if found is None and wanted is None:
            # The first of two that open it at once makes it.
            wire.call("EVAL", _CREATE, 1, key, str(uuid4()), SCHEMA)
            found, schema = wire.call("HMGET", key, "id", "schema")
        if found is None or (wanted is not None and found.decode() != wanted):
            there = f"ledger {found.decode()} is there" if found else "no ledger is there"
            raise LedgerLost(
                f"{self.settings.server.where}: {there}, and not {wanted}: it was lost, or this is another server; "
                "find out what happened before you change ?id= in the URL"
            )
        if schema != SCHEMA:
            raise StorageCorrupt(
                f"{self.settings.server.where}: the ledger's schema is version {schema!r}, this program speaks "
                f"{SCHEMA!r}; use the program version that made it"
            )
        return str(found.decode())


_CREATE = b"""#!lua
if redis.call('HSETNX', KEYS[1], 'id', ARGV[1]) == 1 then redis.call('HSET', KEYS[1], 'schema', ARGV[2]) end
return 1
"""


def _clock_of(wire: Wire) -> float:
    seconds, microseconds = wire.call("TIME")
    return int(seconds) + int(microseconds) / 1e6


def _bytes(key: Argument) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode()
