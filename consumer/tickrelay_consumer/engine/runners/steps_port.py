# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How `ctx.step()` reaches what the ledger remembers, wherever the handler runs."""

from __future__ import annotations

from tickrelay_consumer.engine.shared import Shared
from tickrelay_messaging.ledger.records import Claim


class LedgerSteps:
    """Asks the ledger, once for all that earlier attempts got done and then for each new step."""

    def __init__(self, shared: Shared, claim: Claim) -> None:
        self._shared = shared
        self._claim = claim
        self._known: dict[str, bytes] | None = None

    def get(self, name: str) -> bytes | None:
        """From what was read first; this attempt's own are added to it."""
        if self._known is None:
            self._known = dict(self._shared.ledger.steps.get(self._claim))
        return self._known.get(name)

    def put(self, name: str, result: bytes) -> None:
        """Durable when it returns."""
        self._shared.ledger.steps.put(self._shared.owner, self._claim, name, result)
        if self._known is not None:
            self._known.setdefault(name, result)
