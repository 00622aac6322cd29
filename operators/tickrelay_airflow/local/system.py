# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One run of the local system, from the first process to the last count."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from tickrelay_airflow.local.configuration import write_airflow_cfg, write_shell_environment
from tickrelay_airflow.local.figures import Gauge
from tickrelay_airflow.local.orders import OrderBook
from tickrelay_airflow.local.picture import View
from tickrelay_airflow.local.plan import ORDERS
from tickrelay_airflow.local.settings import LocalSettings
from tickrelay_airflow.local.summary import Summary
from tickrelay_airflow.local.supervision import Supervision
from tickrelay_airflow.local.web import Web
from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.ledger import open_ledger

_LOOK = 0.5
DRAIN = 60.0
"""Longest wait, in seconds, for the last orders at the end of a run with an end."""


class System:
    """
    Args:
        begun: when the command was started; the first effect is measured from there.
    """

    def __init__(self, settings: LocalSettings, view: View, begun: datetime) -> None:
        self._settings = settings
        self._view = view
        self._begun = begun
        self._stop = threading.Event()
        self._stopped = False
        self._supervision = Supervision(settings)
        self._web = Web(settings.web_address)

    def run(self, seconds: float | None) -> Summary:
        """Run for some seconds since `begun`, or until a signal; stop everything; count."""
        write_airflow_cfg(self._settings)
        write_shell_environment(self._settings)
        self._settings.home.tidy()
        with self._signals(), ExitStack() as stack:
            if left := self._supervision.clean_up():
                self._view.say(f"ended what an earlier run had left: {', '.join(left)}")
            stack.callback(self._stop_all)
            self._supervision.start()
            return self._watch(stack, seconds)

    def _watch(self, stack: ExitStack, seconds: float | None) -> Summary:
        settings = self._settings
        broker = stack.enter_context(open_broker(settings.broker))
        ledger = stack.enter_context(open_ledger(settings.ledger))
        book = OrderBook(settings.home.shop, ledger, settings.ledger) if settings.demo else None
        gauge = Gauge(broker, ledger, self._web, book)
        deadline = None if seconds is None else time.monotonic() + seconds - self._elapsed()
        while not self._stop.is_set() and (deadline is None or time.monotonic() < deadline):
            self._look(gauge)
        if not self._stop.is_set() and book is not None:
            self._drain(gauge, book)
        self._web.refresh(at_once=True)
        self._stop_all()
        first = book.first_effect_since(self._begun) if book else None
        span = round((first - self._begun).total_seconds(), 1) if first else None
        return Summary.of(gauge.read(), book.count() if book else None, span)

    def _look(self, gauge: Gauge) -> None:
        self._supervision.look_after()
        self._view.show(gauge.read(), self._supervision.states, self._supervision.troubles)
        self._stop.wait(_LOOK)

    def _drain(self, gauge: Gauge, book: OrderBook) -> None:
        """No new orders; wait until those placed are settled, so that the count is about finished work."""
        self._supervision.stop_component(ORDERS)
        deadline = time.monotonic() + DRAIN
        while not self._stop.is_set() and time.monotonic() < deadline and not book.count().settled:
            self._look(gauge)

    def _stop_all(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._view.say("stopping ...")
        if killed := self._supervision.stop():
            self._view.say(f"killed, since they did not stop in time: {', '.join(killed)}")

    def _elapsed(self) -> float:
        return (datetime.now(UTC) - self._begun).total_seconds()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP stop the run; a second one changes nothing, since stopping is bounded anyway."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: self._stop.set()) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
