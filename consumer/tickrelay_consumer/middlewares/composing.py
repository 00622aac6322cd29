# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a middleware is, and how some of them are put around a handler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from tickrelay_consumer.context import Context
from tickrelay_consumer.handlers import Function
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.message import Message

Next = Callable[[Message, Context], Any]
Middleware = Callable[[Message, Context, Next], Any]
"""
Around one attempt of one message: does something, calls `next`, does something, hands its result on.

It runs where the handler runs (a worker thread, a child process, the event loop) and inside the handler's timeout;
what it raises is what the attempt raises. Around an `async def` handler it must be `async def` itself and await
`next`, or have an async twin, a method `around_async` of the same arguments.
"""


class Around(ABC):
    """A middleware with a before and an after, written once, as a context manager, for functions and coroutines."""

    @abstractmethod
    def around(self, message: Message, ctx: Context) -> AbstractContextManager[object]:
        """What the attempt happens in."""

    def __call__(self, message: Message, ctx: Context, call: Next) -> Any:
        with self.around(message, ctx):
            return call(message, ctx)

    async def around_async(self, message: Message, ctx: Context, call: Next) -> Any:
        """The same around a coroutine."""
        with self.around(message, ctx):
            return await call(message, ctx)


def compose(function: Function, middlewares: Sequence[Middleware]) -> Function:
    """
    The handler with all of them around it, the first outermost; the function itself if there are none.

    Done once, when the handler is registered, so a message costs one call for each and a handler without none.

    Raises:
        ConfigurationError: one of them can't go around this kind of handler.
    """
    composed: Callable[..., Any] = function
    put = _around_async if _is_async(function) else _around
    for middleware in reversed(middlewares):
        composed = wraps(function)(put(middleware, composed))
    return composed


def _around(middleware: Middleware, inner: Next) -> Next:
    if _is_async(middleware):
        raise ConfigurationError(
            f"middleware {_name(middleware)} is async and can't go around a plain function; write it without async"
        )

    def outer(message: Message, ctx: Context) -> Any:
        return middleware(message, ctx, inner)

    return outer


def _around_async(middleware: Middleware, inner: Next) -> Next:
    twin = middleware if _is_async(middleware) else getattr(middleware, "around_async", None)
    if twin is None:
        raise ConfigurationError(
            f"middleware {_name(middleware)} would block the event loop of an async handler; "
            "write it with async def, or give it a method around_async"
        )

    async def outer(message: Message, ctx: Context) -> Any:
        return await twin(message, ctx, inner)

    return outer


def _is_async(called: Callable[..., Any]) -> bool:
    return iscoroutinefunction(called) or iscoroutinefunction(getattr(type(called), "__call__", None))  # noqa: B004


def _name(middleware: Middleware) -> str:
    return getattr(middleware, "__name__", type(middleware).__name__)
