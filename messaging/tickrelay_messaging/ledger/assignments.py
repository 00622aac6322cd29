# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The ledger's room for event-driven DAGs: which run has which message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tickrelay_messaging.ledger.keys import hash_of

ASSIGNED_FOR = 86_400.0
"""Seconds, a day: a message is brought again when a triggerer is back, and somebody will have seen to that by then."""
_CHUNK = 1_000
"""Messages assigned at once, so that no other writer waits long."""


class Assignments(ABC):
    """Which DAG run has which message, for messages that Airflow itself holds and may be brought more than once."""

    def assign(self, scope: str, taker: str, messages: Sequence[tuple[str, str]]) -> list[bool]:
        """
        Give messages to the first taker that asks for them; one that asks again has them again. Durable on return.

        It's known for `ASSIGNED_FOR` seconds at least, and for twice as long at most.

        Args:
            scope: within it a message has one taker.
            messages: source and id of each.

        Returns:
            where True, it's this taker's.
        """
        keys = [hash_of(scope, source, message_id) for source, message_id in messages]
        mine = hash_of(taker)
        chunks = (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))
        return [is_mine for chunk in chunks for is_mine in self._assign(chunk, mine)]

    @abstractmethod
    def _assign(self, keys: Sequence[bytes], taker: bytes) -> list[bool]:
        """The same by hashes, all in one durable round trip."""
