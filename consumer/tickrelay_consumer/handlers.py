# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a handler is, what it promises, and what it is given."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, isnan
from typing import TYPE_CHECKING, Any

from tickrelay_messaging.errors import (
    CallerError,
    ConfigurationError,
    DeadLetter,
    MessageError,
    RetryLater,
)
from tickrelay_messaging.ledger.records import Claim, Route
from tickrelay_messaging.message import Message

if TYPE_CHECKING:
    from sqlalchemy import Connection


LONGEST_DELAY = 365 * 86400.0
"""Seconds; whoever means longer than that made a mistake."""


class Effect(StrEnum):
    """What a handler promises about its effect, and so what it is given."""

    TRANSACTION = "transaction"
    """Writes through `ctx.connection` only; they commit together with the message's done-mark: effect once."""
    EXTERNAL = "external"
    """Anything else; carried out at least once, with `ctx.idempotency_key` for whoever can tell a repetition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """
    When a failed message is tried again: after `first`, `first * factor`, ... seconds, `attempts` times, then never.

    Attributes:
        jitter: each delay is lengthened by up to this part of itself, so that what failed together doesn't return
            together.
    """

    first: float = 1.0
    factor: float = 2.0
    attempts: int = 3
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name, low in (("first", 0.0), ("factor", 1.0), ("attempts", 0), ("jitter", 0.0)):
            if not low <= getattr(self, name) < inf:
                raise ConfigurationError(
                    f"Retry: {name} must be at least {low:g}, got {getattr(self, name):g}"
                )

    def delay(self, attempt: int) -> float | None:
        """Seconds to wait after the failure of attempt 1, 2, ...; None when no further one is due."""
        if attempt > self.attempts:
            return None
        try:
            delay = self.first * self.factor ** (attempt - 1)
        except OverflowError:
            delay = LONGEST_DELAY
        return min(LONGEST_DELAY, delay * (1 + self.jitter * random.random()))  # noqa: S311 - no secret


NO_RETRY = Retry(attempts=0)


@dataclass(slots=True)
class Context:
    """
    What a handler is given beside its message.

    Attributes:
        attempt: 1 for the first.
        fence: only grows for one message; hand it to a store that can refuse an older one.
        route: queue, group and handler.
    """

    route: Route
    attempt: int
    fence: int
    _key: bytes = field(repr=False)
    _connection: Connection | None = field(default=None, repr=False)

    @property
    def idempotency_key(self) -> str:
        """The same however often this message is carried out by this handler; other handlers get another."""
        return self._key.hex()

    @property
    def connection(self) -> Connection:
        """
        A SQLAlchemy connection to the ledger's database, inside the message's own transaction.

        Raises:
            CallerError: the handler doesn't have `effect="transaction"`.
        """
        if self._connection is None:
            raise CallerError(
                f"handler {self.route.handler!r} has no connection; declare it with effect='transaction'"
            )
        return self._connection

    @classmethod
    def of(cls, claim: Claim, connection: Connection | None = None) -> Context:
        """For one claim."""
        return cls(claim.route, claim.attempt, claim.fence, claim.key, connection)


Function = Callable[[Message, Context], Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Handler:
    """
    A function bound to a queue; equal to nothing but itself, so that it is looked up quickly.

    Attributes:
        name: unique in its queue; deduplication is per handler, so renaming one makes every message new to it.
        timeout: seconds after which an attempt has failed.
    """

    function: Function
    queue: str
    name: str
    effect: Effect = Effect.EXTERNAL
    retry: Retry = Retry()
    timeout: float = 30.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ConfigurationError(
                f"handler {self.name!r}: timeout must be above 0 s, got {self.timeout:g}"
            )

    def route(self, group: str) -> Route:
        """Where its messages come from, in a group."""
        return Route(self.queue, group, self.name)

    def delay_after(self, error: BaseException, attempt: int) -> float | None:
        """Seconds until the next attempt after an error; None when there shall be none."""
        if isinstance(error, MessageError | DeadLetter):
            return None
        delay = self.retry.delay(attempt)
        if delay is None or not isinstance(error, RetryLater):
            return delay
        with suppress(TypeError, ValueError):
            wish = float(error.delay)
            return max(0.0, min(LONGEST_DELAY, wish)) if not isnan(wish) else delay
        return delay
