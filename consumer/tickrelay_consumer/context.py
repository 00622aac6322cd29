# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a handler is given beside its message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID, uuid5

from tickrelay_messaging import strict_json
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.errors import CallerError
from tickrelay_messaging.ledger.records import Claim, Route
from tickrelay_messaging.message import Message

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tickrelay_messaging.ledger.base import Transaction

_PUBLISHED = UUID("6f0f3d0c-7d0e-5b7c-9c1d-3f5f0c2a9e11")
"""Namespace (RFC 9562) of the ids of what handlers publish."""
Argument = str | bytes | int | float
Owned = TypeVar("Owned")


class StepStore(Protocol):
    """
    One message's steps. In a thread it asks the ledger, in a child process the parent, which asks the ledger.

    Whatever can't be done is raised as a `TickrelayError` (`ClaimLost`, `LedgerUnavailable`), there as here.
    """

    def get(self, name: str) -> bytes | None:
        """What a step of this name brought at an earlier attempt; None if it hasn't been got done."""

    def put(self, name: str, result: bytes) -> None:
        """Remember it durably; a name that is known keeps its first result."""


class Context:
    """
    What a handler is given beside its message.

    Attributes:
        commands: what `redis` was told; None where the handler has no `redis`.

    Args:
        claim: the message in this handler's hands.
        transaction: of `effect="transaction"`.
        steps: where `step` looks, asked for once it is called: most handlers never do.
        records: whether it has `redis`.
    """

    __slots__ = ("_claim", "_open_steps", "_published", "_steps", "_transaction", "commands")

    def __init__(
        self,
        claim: Claim,
        *,
        transaction: Transaction | None = None,
        steps: Callable[[Claim], StepStore] | None = None,
        records: bool = False,
    ) -> None:
        self._claim = claim
        self._transaction = transaction
        self._open_steps = steps
        self._steps: StepStore | None = None
        self._published = 0
        self.commands: list[tuple[Argument, ...]] | None = [] if records else None

    def __repr__(self) -> str:
        return f"Context(route={self.route!r}, attempt={self.attempt}, fence={self.fence})"

    @property
    def route(self) -> Route:
        """Queue, group and handler."""
        return self._claim.route

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._claim.attempt

    @property
    def fence(self) -> int:
        """Only grows for one message; hand it to a store that can refuse an older one."""
        return self._claim.fence

    @property
    def idempotency_key(self) -> str:
        """The same however often this message is carried out by this handler; other handlers get another."""
        return self._claim.key.hex()

    @property
    def ambiguous(self) -> bool:
        """An earlier attempt may have had its effect: its process died, or it ran past its timeout."""
        return self._claim.ambiguous

    @property
    def connection(self) -> Connection:
        """
        A SQLAlchemy connection to the ledger's database, inside the message's own transaction.

        Raises:
            CallerError: the handler doesn't have `effect="transaction"`.
        """
        return self._own(self._transaction, "connection", "transaction").connection

    def publish(self, queue: str, message: object, *, key: str | None = None) -> str:
        """
        Put a message on a queue once this transaction has committed, and never if it doesn't.

        Its id is made of this message's and of how many this call has published before, so a handler that publishes
        the same in the same order gives the same ids however often it is called.

        Args:
            message: a `Message`, or what is to be its JSON body.
            key: of a message made here.

        Returns:
            the message's id.

        Raises:
            CallerError: the handler doesn't have `effect="transaction"`.
            InvalidMessage: it can't be written as strict JSON.
        """
        transaction = self._own(self._transaction, "publish", "transaction")
        check_name(queue)
        if not isinstance(message, Message):
            message = Message.of(message, id=self._next_id(), source=f"tickrelay/{self.route.queue}", key=key)
        transaction.publish(queue, [message])
        return message.id

    def step(self, name: str, function: Callable[[], Any]) -> Any:
        """
        Do a part of an `external` effect once: a later attempt is given the result instead.

        Only if the process dies between the effect and its record is the step repeated: pass `idempotency_key` on.

        Args:
            function: its result must be something that JSON can say; it's kept until the message is done.

        Raises:
            CallerError: the handler doesn't have `effect="external"`.
            InvalidMessage: the result isn't JSON; the step counts as not done.
            ClaimLost: another consumer has taken over.
        """
        steps = self._own_steps("step")
        known = steps.get(name)
        if known is None:
            known = strict_json.dumps(function())
            steps.put(name, known)
        return strict_json.loads(known)

    async def astep(self, name: str, function: Callable[[], Awaitable[Any]]) -> Any:
        """`step` for an `async def` handler: `await ctx.astep("charge", lambda: charge(order))`."""
        steps = self._own_steps("astep")
        known = await asyncio.to_thread(steps.get, name)
        if known is None:
            known = strict_json.dumps(await function())
            await asyncio.to_thread(steps.put, name, known)
        return strict_json.loads(known)

    def redis(self, name: str, *arguments: Argument) -> None:
        """
        Have a command written to the ledger's Redis in the same script as this message's done-mark.

        Raises:
            CallerError: the handler doesn't have `effect="redis"`.
        """
        self._own(self.commands, "redis", "redis").append((name, *arguments))

    def _own_steps(self, what: str) -> StepStore:
        if self._steps is None:
            self._steps = self._own(self._open_steps, what, "external")(self._claim)
        return self._steps

    def _next_id(self) -> str:
        self._published += 1
        parent = self._claim.message
        parts = (parent.source, parent.id, self.route.group, self.route.handler, str(self._published))
        return str(uuid5(_PUBLISHED, "\0".join(parts)))

    def _own(self, thing: Owned | None, what: str, effect: str) -> Owned:
        if thing is None:
            raise CallerError(
                f"handler {self.route.handler!r} has no {what}; declare it with effect={effect!r}"
            )
        return thing
