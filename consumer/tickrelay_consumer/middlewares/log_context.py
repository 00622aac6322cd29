# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a handler logs says which message it was about."""

from __future__ import annotations

from contextlib import AbstractContextManager

import structlog

from tickrelay_consumer.context import Context
from tickrelay_consumer.middlewares.composing import Around
from tickrelay_messaging.message import Message


class LogContext(Around):
    """
    Binds message, queue, handler and attempt to structlog's context variables while the handler runs.

    Args:
        *extensions: names of CloudEvents extensions that are bound too, such as `dagid`; those a message has.
    """

    def __init__(self, *extensions: str) -> None:
        self._extensions = extensions

    def around(self, message: Message, ctx: Context) -> AbstractContextManager[object]:
        """Bound inside, as it was before outside."""
        own = {name: message.extensions[name] for name in self._extensions if name in message.extensions}
        named = {"queue": ctx.route.queue, "handler": ctx.route.handler, "attempt": ctx.attempt}
        return structlog.contextvars.bound_contextvars(message=message.id, **named, **own)
