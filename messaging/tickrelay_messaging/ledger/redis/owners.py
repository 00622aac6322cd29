# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Consumers as owners of claims."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from tickrelay_messaging.ledger.records import Owner, Route
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.scripts import ENROLL, REAP, RENEW, RETIRE


class Owners:
    """See `Ledger.enroll`, `renew`, `retire` and `reap`."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names

    def enroll(self, name: str, routes: Iterable[Route], *, lease: float) -> Owner:
        """See `Ledger.enroll`."""
        numbers = [self._names.route(route) for route in routes]
        host = socket.gethostname()
        number = self._store.run(ENROLL, name, host, os.getpid(), repr(float(lease)), *numbers)
        return Owner(int(number), name, lease)

    def renew(self, owner: Owner) -> None:
        """See `Ledger.renew`."""
        self._store.run_as(owner, RENEW, owner.number)

    def retire(self, owner: Owner) -> None:
        """See `Ledger.retire`."""
        self._store.run(RETIRE, owner.number)

    def reap(self) -> int:
        """See `Ledger.reap`."""
        return int(self._store.run(REAP))
