# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What waits: retries, messages for later, and what dead consumers left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tickrelay_messaging import envelope
from tickrelay_messaging.errors import LedgerUnavailable, UndecodableMessage
from tickrelay_messaging.ledger.records import Claim, Due, Failure, Outcome, Owner, Route
from tickrelay_messaging.ledger.redis.claiming import CHUNK
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.packing import (
    AMBIGUOUS,
    SUSPECT,
    failure_line,
    row_of,
    split_payload,
)
from tickrelay_messaging.ledger.redis.scripts import BURY_AGAIN, CLAIM_DUE, DUE


class Waiting:
    """See `Ledger.claim_due` and `Ledger.due`."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names
        self._fence = 0
        self._doubtful: dict[tuple[int, Route], int] = {}

    def due(self, routes: Sequence[Route]) -> Due:
        """See `Ledger.due`."""
        numbers = [self._names.route(route) for route in routes]
        first, suspects, counts = self._store.run(DUE, *numbers)
        for place, route in enumerate(routes):
            self._store.losses.saw(route, counts[2 * place], counts[2 * place + 1])
        return Due(float(first) if first else None, suspects)

    def claim_due(
        self, owner: Owner, route: Route, limit: int, *, suspects: bool, ahead: float
    ) -> list[Claim]:
        """See `Ledger.claim_due`."""
        doubt = self._doubtful.get((owner.number, route))
        try:
            wanted = (1 if suspects else min(limit, CHUNK), int(suspects), repr(ahead))
            answer = self._ask(owner, route, *wanted, *(() if doubt is None else (doubt,)))
        except LedgerUnavailable:
            self._doubtful.setdefault((owner.number, route), self._fence)
            raise
        self._doubtful.pop((owner.number, route), None)
        self._fence = max(self._fence, answer[0])
        return self._claims(owner, route, answer)

    def _ask(self, owner: Owner, route: Route, *wanted: int | str) -> list[Any]:
        found: list[Any] = self._store.run_as(
            owner,
            CLAIM_DUE,
            owner.number.to_bytes(4, "little"),
            owner.number,
            owner.name,
            self._names.route(route),
            self._names.group(route.group),
            *wanted,
        )
        return found

    def _claims(self, owner: Owner, route: Route, answer: Sequence[Any]) -> list[Claim]:
        claims: list[Claim] = []
        broken: list[bytes | str] = []
        for key, raw, kept in zip(answer[1::3], answer[2::3], answer[3::3], strict=True):
            try:
                claims.append(_claim(route, key, raw, kept))
            except UndecodableMessage as error:
                # A replayed payload that still can't be read goes back; it must not keep the others from running.
                broken += [key, failure_line(Failure(type(error).__name__, str(error)))]
        if broken:
            self._store.run(BURY_AGAIN, owner.name, *broken)
        self._store.losses.claimed(Counter({route: len(claims)}))
        return claims


def _claim(route: Route, key: bytes, raw: bytes, kept: bytes) -> Claim:
    row = row_of(raw)
    message = envelope.decode(*split_payload(kept))
    return Claim(
        Outcome.RUN,
        route,
        key,
        message,
        row.fence,
        row.attempt,
        bool(row.flags & SUSPECT),
        held=True,
        ambiguous=bool(row.flags & AMBIGUOUS),
    )
