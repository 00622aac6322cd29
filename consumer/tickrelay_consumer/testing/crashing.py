# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Crashes on demand: the consumer under test is left as a killed process would leave it."""

from __future__ import annotations

from dataclasses import dataclass

from tickrelay_messaging.errors import ConfigurationError

POINTS = (
    "consumer.after_receive",
    "consumer.after_decode",
    "consumer.after_claim",
    "consumer.after_claim_due",
    "consumer.before_handler",
    "consumer.after_effect",
    "consumer.transaction.before_commit",
    "consumer.transaction.after_commit",
    "consumer.before_settle",
    "consumer.after_settle",
    "consumer.after_acknowledge",
)
"""Where the kit can crash: the same places as in the real consumer."""


class Crash(BaseException):
    """The consumer died here. No handler can catch it by catching `Exception`."""


@dataclass(slots=True)
class _Plan:
    hit: int
    times: int
    hits: int = 0


class CrashPoints:
    """Which points strike, and when."""

    def __init__(self) -> None:
        self._plans: dict[str, _Plan] = {}

    def plan(self, name: str, hit: int, times: int) -> None:
        """
        Strike at the hit-th passage from now and so many in a row.

        Raises:
            ConfigurationError: there is no such point, or the numbers make no sense.
        """
        if name not in POINTS:
            raise ConfigurationError(f"no crash point {name!r}; there are {', '.join(POINTS)}")
        if hit < 1 or times < 1:
            raise ConfigurationError(f"crash_at: hit and times must be at least 1, got {hit} and {times}")
        self._plans[name] = _Plan(hit, times)

    def reach(self, name: str) -> None:
        """The consumer is here."""
        if (plan := self._plans.get(name)) is not None:
            plan.hits += 1
            if plan.hit <= plan.hits < plan.hit + plan.times:
                raise Crash(name)

    def never_reached(self) -> list[str]:
        """Planned crashes that never came about: the test doesn't show what it says."""
        return [name for name, plan in self._plans.items() if plan.hits < plan.hit]
