# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Brokers and ledgers open in this process, one for each URL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.ledger import open_ledger

if TYPE_CHECKING:
    from tickrelay_airflow.connection.settings import Settings
    from tickrelay_messaging.brokers.base import Broker
    from tickrelay_messaging.ledger.base import Ledger

# By process too: Airflow forks its task processes, and a connection of the parent's is no use in a child.
_open: dict[tuple[int, str, str], Any] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    """A child forked while another thread held the lock would wait for it for ever."""
    global _lock  # noqa: PLW0603 - replaced, since it can't be released
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def broker(url: str) -> Broker:
    """The process's broker for a URL, opened if need be."""
    opened: Broker = _shared("broker", url, open_broker)
    return opened


def ledger(url: str) -> Ledger:
    """The process's ledger for a URL, opened if need be."""
    opened: Ledger = _shared("ledger", url, open_ledger)
    return opened


def close() -> None:
    """Close what this process has opened; the next use opens anew."""
    with _lock:
        mine = [key for key in _open if key[0] == os.getpid()]
        resources = [_open.pop(key) for key in mine]
    for resource in resources:
        resource.close()


def probe(settings: Settings) -> str:
    """
    Open broker and ledger anew, ask each something, and say in a sentence what answered.

    Raises:
        TickrelayError: one of them doesn't answer.
    """
    with open_broker(settings.broker) as fresh:
        fresh.check()
        queues = len(fresh.queues())
    named = settings.broker_conn_id != settings.conn_id
    place = f"connection {settings.broker_conn_id!r}, " if named else ""
    answer = f"broker answers ({place}{redact(settings.broker).partition('?')[0]})"
    if queues:  # not every broker has a list
        answer += f" with {queues} queues"
    if settings.ledger is None:
        return f"{answer}; no ledger: publishing works, sensors and the Messages page don't"
    with open_ledger(settings.ledger) as book:
        return f"{answer}, ledger {book.id} with {len(book.history.stats())} handlers"


def _shared(kind: str, url: str, opener: Callable[[str], Any]) -> Any:
    key = (os.getpid(), kind, url)
    with _lock:
        if key not in _open:
            _open[key] = opener(url)
        return _open[key]
