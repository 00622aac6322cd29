# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which DAG run has which message, in Redis: a hash a day, which expires as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from tickrelay_messaging.ledger.assignments import ASSIGNED_FOR, Assignments
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.scripts import ASSIGN


class RedisAssignments(Assignments):
    """See `ledger.assignments.Assignments`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def _assign(self, keys: Sequence[bytes], taker: bytes) -> list[bool]:
        letters = self._store.run(ASSIGN, int(ASSIGNED_FOR), taker, *keys)
        return [letter == ord("1") for letter in letters]
