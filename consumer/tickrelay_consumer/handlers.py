# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a handler is, what it promises, and what it is given."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from math import inf, isnan
from typing import Any

from tickrelay_consumer.breaker import Breaker
from tickrelay_consumer.context import Context
from tickrelay_consumer.modes import Mode, check_batch, check_mode
from tickrelay_consumer.policy import Ambiguity, check_policy
from tickrelay_consumer.rate import Rate
from tickrelay_messaging.errors import (
    ConfigurationError,
    DeadLetter,
    MessageError,
    RetryLater,
)
from tickrelay_messaging.ledger.records import KeyRule, Route
from tickrelay_messaging.message import Message

LONGEST_DELAY = 365 * 86400.0
"""Seconds; whoever means longer than that made a mistake."""


class Effect(StrEnum):
    """What a handler promises about its effect, and so what it is given."""

    TRANSACTION = "transaction"
    """Writes through `ctx.connection` only; they commit together with the message's done-mark: effect once."""
    REDIS = "redis"
    """Writes through `ctx.redis` only; they and the message's done-mark are one script of the ledger's Redis."""
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


Function = Callable[[Message, Context], Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Handler:
    """
    A function bound to a queue; equal to nothing but itself, so that it is looked up quickly.

    Attributes:
        name: unique in its queue; deduplication is per handler, so renaming one makes every message new to it.
        timeout: seconds after which an attempt has failed.
        mode: where it runs.
        batch: most messages it takes in one call; None for one at a time, handed over as such.
        batch_wait: seconds that a batch waits for more.
        breaker: when it is left alone for a while.
        rate: how often it may be started in one process.
        rule: what messages of one key mean to each other.
        ambiguity: what becomes of a message whose earlier attempt may have had its effect.
    """

    function: Callable[..., Any]
    queue: str
    name: str
    effect: Effect = Effect.EXTERNAL
    retry: Retry = Retry()
    timeout: float = 30.0
    mode: Mode = Mode.THREAD
    batch: int | None = None
    batch_wait: float = 0.05
    breaker: Breaker | None = None
    rate: Rate | None = None
    rule: KeyRule = KeyRule.NONE
    ambiguity: Ambiguity = Ambiguity.RETRY

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ConfigurationError(
                f"handler {self.name!r}: timeout must be above 0 s, got {self.timeout:g}"
            )
        check_mode(self.name, self.effect, self.mode)
        check_batch(self.name, self.batch, self.batch_wait)
        check_policy(self.name, self.effect, self.rule, batch=self.batch, ambiguity=self.ambiguity)

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
