# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dropping buckets: a few hundred small hashes at a time, so that nobody waits for it."""

from __future__ import annotations

from collections.abc import Mapping

from tickrelay_messaging.ledger.records import Retention, Swept
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.scripts import SWEEP, SWEEP_HISTORY


def sweep(store: Store, names: Names, marks: Mapping[str, float], retention: Retention) -> Swept:
    """See `Ledger.sweep`."""
    taken = 0
    known = set(names.all_of("group").values())
    for group, mark in marks.items():
        if group in known:
            taken += _sweep_group(store, retention, str(names.group(group)), repr(mark))
    taken += _sweep_group(store, retention, "", "0")
    torn = store.run(SWEEP_HISTORY, repr(retention.history))
    return Swept(dedup_buckets=taken, history_buckets=int(torn))


def _sweep_group(store: Store, retention: Retention, group: str, mark: str) -> int:
    """Also goes on with what an earlier sweep left behind."""
    total, more = 0, 1
    while more:
        taken, more = store.run(SWEEP, repr(retention.dedup), group, mark)
        total += taken
    return total
