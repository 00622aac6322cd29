# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Revocations and steps in Redis."""

from __future__ import annotations

import json
from typing import Any

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.base import Outbox, Revocations, Steps
from tickrelay_messaging.ledger.records import Claim, Outgoing, Owner, Revocation
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.scripts import LIFT, PUT_STEP, REVOKE, TAKE_BACK

_SLICE = 256


class RedisRevocations(Revocations):
    """See `base.Revocations`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def revoke(self, revocation: Revocation) -> int:
        until = "" if revocation.until is None else repr(float(revocation.until))
        scope = (revocation.schedule, repr(float(revocation.since)), until, revocation.generation)
        goes_by = int(revocation.by_tick)
        number = int(self._store.run(REVOKE, *scope, revocation.by, revocation.reason, goes_by))
        # From here on nothing of it is begun; what waits is taken back a slice at a time, so that nobody else waits.
        (keys,) = self._store.read(("SMEMBERS", f"waiting:{revocation.schedule}"))
        for at in range(0, len(keys), _SLICE):
            self._store.run(TAKE_BACK, revocation.by, *keys[at : at + _SLICE])
        return number

    def lift(self, number: int, *, by: str) -> bool:
        return bool(self._store.run(LIFT, number, by))

    def list(self, schedule: str | None = None) -> list[Revocation]:
        (flat,) = self._store.read(("HGETALL", "revoked"))
        found = [
            _revocation(name.decode(), entry)
            for name, kept in zip(flat[::2], flat[1::2], strict=True)
            for entry in json.loads(kept)
        ]
        chosen = [one for one in found if schedule in (None, one.schedule)]
        return sorted(chosen, key=lambda one: one.number)


def _revocation(schedule: str, entry: list[Any]) -> Revocation:
    number, since, until, generation, by, reason, at, *by_tick = entry
    return Revocation(
        schedule=schedule,
        since=float(since),
        until=float(until) if until else None,
        generation=generation,
        by=by,
        reason=reason,
        at=float(at),
        number=number,
        by_tick=bool(by_tick),
    )


class RedisSteps(Steps):
    """See `base.Steps`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, claim: Claim) -> dict[str, bytes]:
        (flat,) = self._store.read(("HGETALL", b"steps:" + claim.key))
        return {name.decode(): result for name, result in zip(flat[::2], flat[1::2], strict=True)}

    def put(self, owner: Owner, claim: Claim, name: str, result: bytes) -> None:
        hand = claim.fence.to_bytes(8, "little") + claim.key
        if not self._store.run(PUT_STEP, owner.number.to_bytes(4, "little"), hand, name, result):
            raise ClaimLost(f"message {claim.message.id} was taken over; its step {name!r} isn't kept")


class NoOutbox(Outbox):
    """Nothing is ever in it: there are no transactions on Redis."""

    def take(self, owner: Owner, limit: int) -> list[Outgoing]:  # noqa: ARG002
        return []

    def sent(self, owner: Owner, numbers: object) -> None:
        """Nothing was taken."""

    def release(self, owner: Owner, numbers: object) -> None:
        """Nothing was taken."""

    def count(self) -> int:
        return 0
