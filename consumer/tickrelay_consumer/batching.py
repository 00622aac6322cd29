# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a batch handler is given: many messages, and a context to speak of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tickrelay_consumer.context import Context
from tickrelay_messaging.errors import CallerError
from tickrelay_messaging.ledger.records import Route
from tickrelay_messaging.message import Message

if TYPE_CHECKING:
    from sqlalchemy import Connection


class BatchContext:
    """
    Of one call of a batch handler. It returns: all are done but those it named with `fail`. It raises: all failed.

    Attributes:
        route: queue, group and handler.
        failures: what `fail` was told, by the message's place in the batch.
    """

    def __init__(self, messages: Sequence[Message], contexts: Sequence[Context]) -> None:
        self.route: Route = contexts[0].route
        self.failures: dict[int, BaseException] = {}
        self._contexts = contexts
        self._places = {id(message): place for place, message in enumerate(messages)}

    def of(self, message: Message) -> Context:
        """One message's own context: its attempt, fence and idempotency key."""
        return self._contexts[self._place(message)]

    def fail(self, message: Message, error: BaseException | str) -> None:
        """
        One of them failed, whatever becomes of the others: as if a handler of single messages had raised `error`.

        Under `effect="transaction"` the batch is undone and called again without it.
        """
        self.failures[self._place(message)] = RuntimeError(error) if isinstance(error, str) else error

    @property
    def connection(self) -> Connection:
        """As `Context.connection`: of the one transaction that all of the batch is in."""
        return self._contexts[0].connection

    def _place(self, message: Message) -> int:
        place = self._places.get(id(message))
        if place is None:
            raise CallerError(
                f"handler {self.route.handler!r}: that message isn't one of this batch; pass the object it was given"
            )
        return place


BatchFunction = Callable[[list[Message], BatchContext], Any]
