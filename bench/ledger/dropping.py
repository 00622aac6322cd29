# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Whether anybody notices that a bucket is dropped: one consumer claims and settles as fast as it can meanwhile."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.ledger.filling import fill
from bench.ledger.stores import Store
from bench.ledger.work import ROUTE, Clock, enroll, one_batch
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import Retention

_DAY = 86_400.0
_LEAST = 3.0
"""Seconds, as a stall isn't seen in a short look."""


@dataclass(frozen=True, slots=True)
class Stalls:
    """Seconds that batches took, and how long it went on."""

    longest: float
    median: float
    seconds: float


def stalls(store: Store, rows: int) -> tuple[Stalls, Stalls]:
    """While nothing happens, and while so many marks are swept by another connection."""
    clock = Clock()
    with store.open(clock) as ledger, store.open(clock) as sweeper:
        enroll(ledger)
        ledger.sweep({}, Retention())
        fill(store, ledger, ROUTE.group, rows)
        _batches(ledger, lambda: time.sleep(0.2))
        quiet = _batches(ledger, lambda: time.sleep(_LEAST))
        clock.advance(30 * _DAY)
        loud = _batches(ledger, lambda: _sweep(sweeper, clock))
    return quiet, loud


def _sweep(ledger: Ledger, clock: Clock) -> None:
    """Retired first; a minute later dropped."""
    assert ledger.sweep({ROUTE.group: clock()}, Retention()).dedup_buckets
    clock.advance(61)
    ledger.sweep({ROUTE.group: clock()}, Retention())
    time.sleep(_LEAST / 3)


def _batches(ledger: Ledger, meanwhile: Callable[[], None]) -> Stalls:
    """Batch after batch until that has ended."""
    owner, took = enroll(ledger), []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            meanwhile()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    thread = threading.Thread(target=run)
    began = time.perf_counter()
    thread.start()
    while thread.is_alive():
        took.append(one_batch(ledger, owner).both)
    thread.join()
    if failed:
        raise failed[0]
    ledger.retire(owner)
    return Stalls(max(took), statistics.median(took), time.perf_counter() - began)
