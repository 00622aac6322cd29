# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which DAG run has which message, in Redis: a hash a day, which expires as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from tickrelay_messaging.ledger.assignments import ASSIGNED_FOR, Assignments
from tickrelay_messaging.ledger.keys import hash_of
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.scripts import ASSIGN

_CHUNK = 1_000
"""Messages in one script, so that nobody else waits long."""


class RedisAssignments(Assignments):
    """See `ledger.assignments.Assignments`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def assign(self, scope: str, taker: str, messages: Sequence[tuple[str, str]]) -> list[bool]:
        keys = [hash_of(scope, source, message_id) for source, message_id in messages]
        mine = hash_of(taker)
        found: list[bool] = []
        for at in range(0, len(keys), _CHUNK):
            letters = self._store.run(ASSIGN, int(ASSIGNED_FOR), mine, *keys[at : at + _CHUNK])
            found += [letter == ord("1") for letter in letters]
        return found
