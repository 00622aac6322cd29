# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages whose data isn't what the handler takes are dead letters at once: no retry mends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError

from tickrelay_consumer.context import Context
from tickrelay_consumer.middlewares.composing import Around
from tickrelay_messaging.errors import MessageError
from tickrelay_messaging.message import Message

_MOST = 5


class InvalidData(MessageError, ValueError):
    """The message's data isn't what the handler takes."""


class Validate(Around):
    """
    Checks `message.data` before the handler sees it.

    Args:
        schema: a pydantic model, or a callable that raises ValueError or TypeError for data it doesn't take. The
            handler still gets the message as it came.
    """

    def __init__(self, schema: type[BaseModel] | Callable[[Any], object]) -> None:
        is_model = isinstance(schema, type) and issubclass(schema, BaseModel)
        self._take: Callable[[Any], object] = schema.model_validate if is_model else schema  # type: ignore[union-attr]  # a model then

    @contextmanager
    def around(self, message: Message, ctx: Context) -> Iterator[None]:
        """Raises before the handler is called; what the handler itself raises stays as it is."""
        self._check(message, ctx.route.handler)
        yield

    def _check(self, message: Message, handler: str) -> None:
        try:
            self._take(message.data)
        except ValidationError as error:
            raise InvalidData(f"data isn't what {handler} takes: {_faults(error)}") from None
        except (ValueError, TypeError) as error:
            raise InvalidData(f"data isn't what {handler} takes: {error}") from error


def _faults(error: ValidationError) -> str:
    """Where and what, without the values: they may be secret, and the dead letter has them anyway."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, one['loc'])) or 'data'}: {one['msg']}" for one in found[:_MOST]]
    more = len(found) - _MOST
    return "; ".join([*told, f"and {more} more"] if more > 0 else told)
