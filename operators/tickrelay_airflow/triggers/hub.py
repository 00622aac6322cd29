# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The triggerer's one waiter for each pair of broker and ledger, whatever number of sensors waits.

Nothing here runs on the triggerer's event loop: one thread gives out messages (`desk`) and checks the other
conditions, one hears the ledger's changes, and one for each group that sensors want messages from receives them. They
rest when nobody waits. A coroutine only awaits a future, which the checking thread fulfils through
`call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf

from tickrelay_airflow.connection import pool
from tickrelay_airflow.triggers.desk import Desk
from tickrelay_airflow.triggers.receiver import Receiver
from tickrelay_airflow.triggers.waiter import Waiter
from tickrelay_messaging.errors import TickrelayError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tickrelay_airflow.connection.settings import Settings
    from tickrelay_airflow.waiting.conditions import Condition, Outcome
    from tickrelay_messaging.brokers.base import Broker
    from tickrelay_messaging.ledger.base import Ledger

log = logging.getLogger(__name__)

SAFETY = 3.0
"""Seconds after which everything is checked again even if nobody said that something changed."""
SHARE = 3.0
"""
How many times as long as a round of checks took to rest after it, since each waiter is a question: a busy ledger can't
keep the triggerer busy. Desks need no such rest, as they look at what is new only.
"""
REST = 0.05
"""Shortest rest between two rounds in seconds."""
MAILBOX_DAYS = 30
"""How long messages for sensors are kept, taken or not, where `[tickrelay] mailbox_days` says nothing."""
TIDY_EVERY = 3600.0
"""Seconds between two looks for older ones."""
PAUSE = 2.0
"""Seconds to wait after broker or ledger has failed."""


class Hub:
    """Waits for conditions of one broker and one ledger. Make it with `shared`."""

    _shared: dict[tuple[str, str | None], Hub] = {}  # noqa: RUF012 - one for the process
    _shared_lock = threading.Lock()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._waiters: dict[Waiter, None] = {}
        self._checked: dict[Waiter, None] = {}
        self._desks: dict[tuple[str, str], Desk] = {}
        self._receivers: dict[tuple[str, str], Receiver] = {}
        self._checking = False
        self._tidy_at = 0.0
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
        waiter = Waiter(condition, loop, loop.create_future())
        self._join(waiter)
        try:
            return await waiter.future
        finally:
            self._leave(waiter)

    def _join(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters[waiter] = None
            if waiter.condition.receives:
                self._desks.setdefault(_place(waiter), Desk(*_place(waiter))).join(waiter)
            else:
                self._checked[waiter] = None
            self._needed.set()
            if not self._checking:
                self._checking = True
                threading.Thread(target=self._check_for_ever, name="tickrelay-hub", daemon=True).start()
        self._changed.set()

    def _leave(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters.pop(waiter, None)
            self._checked.pop(waiter, None)
            is_last = not self._waiters
            if waiter.condition.receives and not self._desks[_place(waiter)].leave(waiter):
                del self._desks[_place(waiter)]
                is_last = True
        if is_last:  # else nobody has to hear of it
            self._changed.set()

    def _check_for_ever(self) -> None:
        """The checking thread, as long as somebody waits."""
        while self._is_needed():
            try:
                rest = self._round()
            except TickrelayError as error:
                log.warning("Tickrelay sensors wait for a service: %s", error)
                rest = PAUSE
            except Exception:
                log.exception("Tickrelay hub: a round of checks failed")
                rest = PAUSE
            time.sleep(rest)
            self._changed.wait(SAFETY)

    def _round(self) -> float:
        """Check everything once; returns how long to rest."""
        with self._lock:
            desks, checked = dict(self._desks), list(self._checked)
        ledger = pool.ledger(self._settings.ledger) if self._settings.ledger else None
        self._start_helpers(desks.keys())
        for desk in desks.values():
            desk.serve(ledger)
        self._tidy(ledger)
        return self._check_all(checked, ledger)

    def _check_all(self, waiters: Iterable[Waiter], ledger: Ledger | None) -> float:
        """
        Check each once; returns how long to rest.

        One kind asks the same services, so of a kind that has failed no more are asked this time: a service that is
        down isn't asked ten thousand times, nor does it hold up who doesn't need it.
        """
        broker = pool.broker(self._settings.broker)
        failed: set[str] = set()
        busy = 0.0  # without the failed checks: a time-out is no work of the ledger's to rest after
        for waiter in waiters:
            if waiter.condition.until in failed:
                continue
            started = time.monotonic()
            if self._check(waiter, broker, ledger):
                busy += time.monotonic() - started
            else:
                failed.add(waiter.condition.until)
        return max(PAUSE if failed else REST, SHARE * busy)

    def _tidy(self, ledger: Ledger | None) -> None:
        """Drop old mail now and then, a little each round until there is none."""
        if ledger is None or time.monotonic() < self._tidy_at:
            return
        days = conf.getint("tickrelay", "mailbox_days", fallback=MAILBOX_DAYS)
        if not ledger.mailbox.forget(ledger.now() - days * 86_400):
            self._tidy_at = time.monotonic() + TIDY_EVERY

    def _is_needed(self) -> bool:
        """
        Whether anybody waits now; with nobody left the thread's end is settled under the lock, so that no one is
        forgotten.
        """
        self._changed.clear()
        with self._lock:
            if not self._waiters:
                self._checking = False
                self._needed.clear()
                self._stop_receivers(set())
            return bool(self._waiters)

    def _check(self, waiter: Waiter, broker: Broker, ledger: Ledger | None) -> bool:
        """Whether the services have answered. One sensor's own trouble is an answer."""
        try:
            outcome = waiter.condition.check(broker, ledger)
        except Exception as error:  # noqa: BLE001 - one sensor's trouble isn't the others', but a service's is
            if isinstance(error, TickrelayError) and error.retryable:
                log.warning("Tickrelay sensors wait for a service: %s", error)
                self._postpone(waiter)
                return False
            waiter.fail(error)
            return True
        if outcome is not None:
            waiter.fulfil(outcome)
        return True

    def _postpone(self, failed: Waiter) -> None:
        """Whoever asks the same comes last from now on: it may be that only this queue can't be asked about."""
        with self._lock:
            order = sorted(self._checked, key=lambda waiter: _question(waiter) == _question(failed))
            self._checked = dict.fromkeys(order)

    def _start_helpers(self, wanted: Collection[tuple[str, str]]) -> None:
        """A thread that hears the ledger, and one for each group that messages are wanted from."""
        self._stop_receivers(wanted)
        if self._settings.ledger is None:
            return
        for queue, group in set(wanted) - self._receivers.keys():
            self._receivers[queue, group] = Receiver(self._settings, queue, group, heard=self._changed.set)
        if self._listening is None:
            self._listening = threading.Thread(target=self._listen, name="tickrelay-ledger", daemon=True)
            self._listening.start()

    def _stop_receivers(self, wanted: Collection[tuple[str, str]]) -> None:
        for key in self._receivers.keys() - set(wanted):
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


def _place(waiter: Waiter) -> tuple[str, str]:
    return waiter.condition.queue, waiter.condition.group


def _question(waiter: Waiter) -> tuple[str, str, str]:
    return waiter.condition.until, *_place(waiter)
