# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a library's exceptions mean for the message, said once rather than in each handler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tickrelay_consumer.context import Context
from tickrelay_consumer.middlewares.composing import Around
from tickrelay_messaging.errors import ConfigurationError, DeadLetter, HandlerSignal, RetryLater
from tickrelay_messaging.message import Message

Errors = type[Exception] | tuple[type[Exception], ...]


class MapErrors(Around):
    """
    Turns exceptions of a handler into its wish. What a handler says itself (`RetryLater`, `DeadLetter`) stays.

    Args:
        dead: these make it a dead letter at once.
        retry: these are tried again after so many seconds, by class; the first that matches counts.
    """

    def __init__(self, *, dead: Errors = (), retry: dict[type[Exception], float] | None = None) -> None:
        self._dead = dead
        self._retry = dict(retry or {})
        if not self._dead and not self._retry:
            raise ConfigurationError("MapErrors: name exceptions for dead= or retry=, or leave it out")

    @contextmanager
    def around(self, message: Message, ctx: Context) -> Iterator[None]:  # noqa: ARG002 - every middleware's arguments
        """Raises the wish in the exception's place, caused by it."""
        try:
            yield
        except HandlerSignal:
            raise
        except Exception as error:
            delay = next((delay for kind, delay in self._retry.items() if isinstance(error, kind)), None)
            if delay is not None:
                raise RetryLater(delay, f"{type(error).__name__}: {error}") from error
            if isinstance(error, self._dead):
                raise DeadLetter(f"{type(error).__name__}: {error}") from error
            raise
