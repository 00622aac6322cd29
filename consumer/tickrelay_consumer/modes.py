# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Where a handler runs, and what can't be had there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import StrEnum
from math import inf
from typing import Any

from tickrelay_messaging.errors import ConfigurationError

LARGEST_BATCH = 10_000


class Mode(StrEnum):
    """Where a handler's function is called."""

    THREAD = "thread"
    """In a thread of the consumer: the quickest; what hangs there can't be ended."""
    PROCESS = "process"
    """In a child process: killed at its deadline, and one that dies takes nothing else with it."""
    ASYNCIO = "asyncio"
    """An `async def` in the consumer's one event loop: thousands at a time that wait for the network."""


def mode_of(function: Callable[..., Any], mode: str | None) -> Mode:
    """
    The mode that was asked for, or else the one a function is made for.

    Raises:
        ConfigurationError: there is no such mode, or the function can't run in it.
    """
    if mode is not None and mode not in set(Mode):
        raise ConfigurationError(f"mode must be one of {', '.join(Mode)}, got {mode!r}")
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object's, whose method may be `async def`
    )
    chosen = Mode(mode) if mode is not None else Mode.ASYNCIO if is_async else Mode.THREAD
    if is_async and chosen is not Mode.ASYNCIO:
        raise ConfigurationError(
            f"mode={chosen.value!r} calls plain functions, this one is `async def`; leave mode= away"
        )
    if chosen is Mode.ASYNCIO and not is_async:
        raise ConfigurationError(
            "mode='asyncio' needs an `async def`: a plain function would stop the event loop"
        )
    return chosen


def check_mode(name: str, effect: str, mode: Mode) -> None:
    """
    Refuse an effect that can't be kept there.

    Raises:
        ConfigurationError: says why.
    """
    if effect == "redis" and mode is Mode.PROCESS:
        raise ConfigurationError(
            f"handler {name!r}: effect='redis' can't have mode='process': its commands are written with the done-mark "
            "by the consumer; leave mode= away"
        )
    if effect == "transaction" and mode is not Mode.THREAD:
        raise ConfigurationError(
            f"handler {name!r}: effect='transaction' can't have mode={mode.value!r}: the connection that effect and "
            "done-mark commit on is the consumer's own, and used by one of its threads; leave mode= away"
        )


def check_batch(name: str, batch: int | None, batch_wait: float, around: Sequence[object] = ()) -> None:
    """
    Refuse a batch that can't be.

    Raises:
        ConfigurationError: says which argument, and why.
    """
    if batch is not None and not 1 <= batch <= LARGEST_BATCH:
        raise ConfigurationError(f"handler {name!r}: batch must be 1 to {LARGEST_BATCH:,}, got {batch}")
    if not 0 <= batch_wait < inf:
        raise ConfigurationError(f"handler {name!r}: batch_wait must be at least 0 s, got {batch_wait:g}")
    if batch is not None and around:
        raise ConfigurationError(
            f"handler {name!r}: middlewares go around single messages, and batch= hands over many; "
            "leave one of them away, or register it on a Consumer of its own"
        )
