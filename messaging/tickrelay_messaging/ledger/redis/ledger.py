# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The Redis ledger: each verb lives in the module named after what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.base import Ledger, Transaction
from tickrelay_messaging.ledger.hearing import Bells
from tickrelay_messaging.ledger.records import (
    Claim,
    Due,
    Failure,
    KeyRule,
    Owner,
    Retention,
    Route,
    Settlement,
    Swept,
)
from tickrelay_messaging.ledger.redis.assigning import RedisAssignments
from tickrelay_messaging.ledger.redis.batches import RedisBatches
from tickrelay_messaging.ledger.redis.claiming import Claiming
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.dead_letters import RedisDeadLetters
from tickrelay_messaging.ledger.redis.listening import Listener
from tickrelay_messaging.ledger.redis.lives import RedisHistory
from tickrelay_messaging.ledger.redis.mailbox import RedisMailbox
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.owners import Owners
from tickrelay_messaging.ledger.redis.revocations import NoOutbox, RedisRevocations, RedisSteps
from tickrelay_messaging.ledger.redis.schedules import RedisAudit, RedisSchedules
from tickrelay_messaging.ledger.redis.settings import LedgerSettings
from tickrelay_messaging.ledger.redis.settling import Settling
from tickrelay_messaging.ledger.redis.sweeping import sweep
from tickrelay_messaging.ledger.redis.waiting import Waiting
from tickrelay_messaging.message import Message


class RedisLedger(Ledger):
    """
    See `Ledger`. Only its lease tells whether an owner lives.

    Args:
        url: `redis://user:password@host:6379/0?wait=1`; the module `settings` lists the options.
        clock: Unix seconds, for tests; the server's by default.

    Raises:
        ConfigurationError: the URL can't be read, or the server refuses this user or could lose what it confirms.
        LedgerUnavailable: the server can't be reached.
        LedgerLost: the ledger named in the URL isn't there.
    """

    effects = frozenset({"external", "redis"})

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        self._store = store = Store(LedgerSettings.of(url), clock)
        self.id = store.id
        names = self._names = Names(store)
        self._bells = Bells(lambda: Listener(store))
        self._owners = Owners(store, names)
        self._claiming = Claiming(store, names)
        self._settling = Settling(store, names)
        self._waiting = Waiting(store, names)
        letters = RedisDeadLetters(store, names)
        self._bury = letters.bury
        self.dead_letters = letters
        self.batches = RedisBatches(store, names)
        self.mailbox = RedisMailbox(store)
        self.history = RedisHistory(store, names, letters)
        self.revocations = RedisRevocations(store)
        self.steps = RedisSteps(store)
        self.outbox = NoOutbox()
        self.assignments = RedisAssignments(store)
        self._schedules = RedisSchedules(store)
        self.schedules = self._schedules
        self.audit = RedisAudit(store)

    def now(self) -> float:
        return self._store.now()

    def enroll(self, name: str, routes: Iterable[Route], *, lease: float = 30.0) -> Owner:
        owner = self._owners.enroll(name, routes, lease=lease)
        self._bells.hang(owner.number)
        return owner

    def renew(self, owner: Owner) -> None:
        self._owners.renew(owner)

    def retire(self, owner: Owner) -> None:
        self._owners.retire(owner)
        self._bells.take_down(owner.number)

    def reap(self) -> int:
        return self._owners.reap()

    def claim(
        self, owner: Owner, route: Route, messages: Sequence[Message], *, rule: KeyRule = KeyRule.NONE
    ) -> list[Claim]:
        return self._claiming.claim(owner, route, messages, rule)

    def claim_due(
        self, owner: Owner, route: Route, limit: int, *, suspects: bool = False, ahead: float = 0.0
    ) -> list[Claim]:
        return self._waiting.claim_due(owner, route, limit, suspects=suspects, ahead=ahead)

    def due(self, routes: Sequence[Route]) -> Due:
        return self._waiting.due(routes)

    def hold(self, owner: Owner, claims: Sequence[Claim]) -> list[bool]:
        return self._claiming.hold(owner, claims)

    def sweep(self, marks: Mapping[str, float], retention: Retention) -> Swept:
        self._schedules.forget(retention)
        return sweep(self._store, self._names, marks, retention)

    def settle(self, owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        return self._settling.settle(owner, settlements)

    def bury(self, route: Route, deliveries: Sequence[Delivery], failure: Failure) -> None:
        self._bury(route, deliveries, failure)

    def transaction(self, owner: Owner, claims: Sequence[Claim]) -> AbstractContextManager[Transaction]:  # noqa: ARG002
        raise ConfigurationError(
            "effect='transaction' needs the ledger in the handler's own SQL database (sqlite:, postgresql: or mysql:); "
            "on Redis use effect='redis' or effect='external'"
        )

    def wait(self, timeout: float | None) -> bool:
        return self._bells.wait(timeout)

    def wait_for_work(self, owner: Owner, timeout: float | None) -> bool:
        return self._bells.wait_for_work(owner.number, timeout)

    def close(self) -> None:
        self._bells.close()
        self._store.close()
