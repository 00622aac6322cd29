# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The triggerer's one waiter for each pair of broker and ledger, whatever number of sensors waits.

Nothing here runs on the triggerer's event loop: one thread checks conditions, one hears the ledger's changes,
and one for each group that sensors want messages from receives them. They rest when nobody waits. A coroutine
only awaits a future, which the checking thread fulfils through `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tickrelay_airflow.connection import pool
from tickrelay_airflow.triggers.receiver import Receiver
from tickrelay_messaging.errors import TickrelayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tickrelay_airflow.connection.settings import Settings
    from tickrelay_airflow.waiting.conditions import Condition, Outcome
    from tickrelay_messaging.brokers.base import Broker
    from tickrelay_messaging.ledger.base import Ledger

log = logging.getLogger(__name__)

SAFETY = 3.0
"""Seconds after which everything is checked again even if nobody said that something changed."""
SHARE = 3.0
"""
How many times as long as a round of checks took to rest after it: a busy ledger can't keep the triggerer
busy.
"""
REST = 0.05
"""Shortest rest between two rounds in seconds."""
PAUSE = 2.0
"""Seconds to wait after broker or ledger has failed."""


@dataclass(eq=False, slots=True)
class _Waiter:
    condition: Condition
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Outcome]

    def fulfil(self, outcome: Outcome) -> None:
        self._call(self._set_result, outcome)

    def fail(self, error: Exception) -> None:
        self._call(self._set_exception, error)

    def _call(self, action: Callable[[Any], None], what: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(action, what)

    def _set_result(self, outcome: Outcome) -> None:
        if not self.future.done():
            self.future.set_result(outcome)

    def _set_exception(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Hub:
    """Waits for conditions of one broker and one ledger. Make it with `shared`."""

    _shared: dict[tuple[str, str | None], Hub] = {}  # noqa: RUF012 - one for the process
    _shared_lock = threading.Lock()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._waiters: list[_Waiter] = []
        self._receivers: dict[tuple[str, str], Receiver] = {}
        self._checking = False
        self._listening: threading.Thread | None = None
        self._needed = threading.Event()

    @classmethod
    def shared(cls, settings: Settings) -> Hub:
        """The process's hub for these URLs, whichever connection they come from."""
        key = (settings.broker, settings.ledger)
        with cls._shared_lock:
            return cls._shared.setdefault(key, cls(settings))

    @property
    def waiting(self) -> int:
        """How many coroutines wait."""
        return len(self._waiters)

    async def until(self, condition: Condition) -> Outcome:
        """
        Wait for a condition, without a limit of time; cancel it to stop.

        Raises:
            TickrelayError: it can't ever be fulfilled. Services that are down are waited for.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(condition, loop, loop.create_future())
        self._join(waiter)
        try:
            return await waiter.future
        finally:
            self._leave(waiter)

    def _join(self, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters.append(waiter)
            self._needed.set()
            if not self._checking:
                self._checking = True
                threading.Thread(target=self._check_for_ever, name="tickrelay-hub", daemon=True).start()
        self._changed.set()

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock, suppress(ValueError):
            self._waiters.remove(waiter)
        self._changed.set()

    def _check_for_ever(self) -> None:
        """The checking thread, as long as somebody waits."""
        while waiters := self._present():
            try:
                rest = self._round(waiters)
            except TickrelayError as error:
                log.warning("Tickrelay sensors wait for a service: %s", error)
                rest = PAUSE
            except Exception:
                log.exception("Tickrelay hub: a round of checks failed")
                rest = PAUSE
            time.sleep(rest)
            self._changed.wait(SAFETY)

    def _round(self, waiters: list[_Waiter]) -> float:
        """Check everything once; returns how long to rest."""
        broker = pool.broker(self._settings.broker)
        ledger = pool.ledger(self._settings.ledger) if self._settings.ledger else None
        started = time.monotonic()
        self._start_helpers(waiters)
        for waiter in waiters:
            self._check(waiter, broker, ledger)
        return max(REST, SHARE * (time.monotonic() - started))

    def _present(self) -> list[_Waiter]:
        """
        Who waits now; with nobody left the thread's end is settled under the lock, so that no one is
        forgotten.
        """
        self._changed.clear()
        with self._lock:
            if not self._waiters:
                self._checking = False
                self._needed.clear()
                self._stop_receivers(set())
            return list(self._waiters)

    def _check(self, waiter: _Waiter, broker: Broker, ledger: Ledger | None) -> None:
        try:
            outcome = waiter.condition.check(broker, ledger)
        except Exception as error:  # one sensor's trouble isn't the others', but a service's is
            if isinstance(error, TickrelayError) and error.retryable:
                raise
            waiter.fail(error)
            return
        if outcome is not None:
            waiter.fulfil(outcome)

    def _start_helpers(self, waiters: list[_Waiter]) -> None:
        """A thread that hears the ledger, and one for each group that messages are wanted from."""
        wanted = {(w.condition.queue, w.condition.group) for w in waiters if w.condition.receives}
        self._stop_receivers(wanted)
        if self._settings.ledger is None:
            return
        for queue, group in wanted - self._receivers.keys():
            self._receivers[queue, group] = Receiver(self._settings, queue, group, heard=self._changed.set)
        if self._listening is None:
            self._listening = threading.Thread(target=self._listen, name="tickrelay-ledger", daemon=True)
            self._listening.start()

    def _stop_receivers(self, wanted: set[tuple[str, str]]) -> None:
        for key in self._receivers.keys() - wanted:
            self._receivers.pop(key).stop()

    def _listen(self) -> None:
        """The thread that hears the ledger. It stays for good: each thread that listens costs the ledger a bell."""
        while self._needed.wait():
            try:
                if pool.ledger(self._settings.ledger or "").wait(SAFETY):
                    self._changed.set()
                    time.sleep(REST)
            except Exception as error:  # noqa: BLE001 - the checks go on meanwhile, only later
                log.warning("Tickrelay sensors don't hear the ledger: %s", error)
                time.sleep(PAUSE)
