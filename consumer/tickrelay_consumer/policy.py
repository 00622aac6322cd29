# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What one handler's messages mean to each other, and what becomes of one that may have had its effect already."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from tickrelay_messaging.errors import ConfigurationError, DeadLetter
from tickrelay_messaging.ledger.records import KeyRule

IN_ORDER = frozenset({KeyRule.ORDER, KeyRule.STRICT})


class Ambiguity(StrEnum):
    """What to do with a message whose earlier attempt may have had its effect: `Context.ambiguous`."""

    RETRY = "retry"
    """Carry it out again, under the same idempotency key."""
    QUARANTINE = "quarantine"
    """Make it a dead letter; a person decides, and a replay carries it out."""
    VERIFY = "verify"
    """Ask the handler's `verify` function whether the effect is there; only if it isn't, carry it out again."""


def rule_of(name: str, *, key_order: bool | str, singleton: bool) -> KeyRule:
    """
    The rule that a handler asks for.

    Raises:
        ConfigurationError: it asks for two, or for one that there isn't.
    """
    if key_order not in (False, True, "strict"):
        raise ConfigurationError(
            f"handler {name!r}: key_order must be True, False or 'strict', got {key_order!r}"
        )
    if singleton and key_order:
        raise ConfigurationError(
            f"handler {name!r}: key_order waits for its turn and singleton skips it; leave one of them away"
        )
    if singleton:
        return KeyRule.SINGLETON
    return KeyRule.STRICT if key_order == "strict" else KeyRule.ORDER if key_order else KeyRule.NONE


def check_policy(name: str, effect: str, rule: KeyRule, *, batch: int | None, ambiguity: Ambiguity) -> None:
    """
    Refuse what doesn't go together.

    Raises:
        ConfigurationError: says what, and what to leave away.
    """
    if batch is not None and rule is not KeyRule.NONE:
        raise ConfigurationError(
            f"handler {name!r}: key_order and singleton carry out one message of a key at a time, "
            "batch= hands over many; leave one of them away"
        )
    if ambiguity is Ambiguity.RETRY:
        return
    if effect != "external":
        raise ConfigurationError(
            f"handler {name!r}: effect={effect!r} commits with the done-mark, so it is never in doubt; "
            "leave on_ambiguous and verify away"
        )
    if batch is not None:
        raise ConfigurationError(
            f"handler {name!r}: on_ambiguous looks at single messages, batch= hands over many; "
            "leave one of them away"
        )


def ambiguity_of(name: str, wish: str | None, verify: Callable[..., Any] | None) -> Ambiguity:
    """
    The policy that a handler asks for; one with a `verify` function means that.

    Raises:
        ConfigurationError: there is no such policy, or `verify` is missing or left over.
    """
    chosen = wish if wish is not None else "verify" if verify is not None else "retry"
    if chosen not in set(Ambiguity):
        raise ConfigurationError(
            f"handler {name!r}: on_ambiguous must be one of {', '.join(Ambiguity)}, got {chosen!r}"
        )
    if (chosen == "verify") != (verify is not None):
        raise ConfigurationError(
            f"handler {name!r}: on_ambiguous='verify' and a verify= function go together, one is missing"
        )
    return Ambiguity(chosen)


def guarded(
    function: Callable[..., Any], ambiguity: Ambiguity, verify: Callable[..., Any] | None
) -> Callable[..., Any]:
    """The function behind its policy: called with message and context, as it is itself."""
    if ambiguity is Ambiguity.RETRY:
        return function
    ask = _quarantine if verify is None else verify
    if inspect.iscoroutinefunction(function):
        return _guarded_coroutine(function, ask)

    @wraps(function)
    def plain(message: Any, ctx: Any) -> Any:
        return None if ctx.ambiguous and ask(message, ctx) else function(message, ctx)

    return plain


def _guarded_coroutine(function: Callable[..., Any], ask: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def coroutine(message: Any, ctx: Any) -> Any:
        if ctx.ambiguous:
            there = ask(message, ctx)
            if await there if inspect.isawaitable(there) else there:
                return None
        return await function(message, ctx)

    return coroutine


def _quarantine(_message: Any, ctx: Any) -> bool:
    raise DeadLetter(
        f"an earlier attempt may have had its effect (attempt {ctx.attempt}); see whether it's there, then replay this "
        "message or discard it"
    )
