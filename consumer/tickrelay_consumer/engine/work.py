# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What travels between the threads of the engine."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_messaging.brokers.base import Delivery, Subscription
from tickrelay_messaging.errors import HandlerTimeout
from tickrelay_messaging.ledger.records import Claim, Failure, Settlement, Verdict
from tickrelay_messaging.message import Message

_counting = threading.Lock()


@dataclass(slots=True, eq=False)
class Received:
    """
    A delivery and how many handlers still have it in hand; at none it is acknowledged.

    The fetcher counts up (`hand_out`) and the settler down (`take_back`), many at a time, under one lock.
    """

    subscription: Subscription
    delivery: Delivery
    _open: int = 0


@dataclass(slots=True, eq=False)
class Work:
    """
    A claim to carry out; equal to nothing but itself.

    Attributes:
        received: the delivery it came from; None if the ledger has the payload.
    """

    claim: Claim
    handler: Handler
    received: Received | None = None


def hand_out(
    received: Sequence[Received], works: Sequence[Work], given_up: Iterable[Received]
) -> list[Received]:
    """
    Count hands: one more for the delivery of each work, one less each time a delivery was given up.

    Returns:
        of `received`, those that no handler has in hand.
    """
    with _counting:
        for work in works:
            if (one := work.received) is not None:
                one._open += 1  # noqa: SLF001 - only here and in the next, with the lock held
        for one in given_up:
            one._open -= 1  # noqa: SLF001
        return [one for one in received if not one._open]  # noqa: SLF001


def take_back(works: Iterable[Work]) -> list[Received]:
    """Their handlers are through with them; returns the deliveries that nobody has in hand any more."""
    finished = []
    with _counting:
        for work in works:
            received, work.received = work.received, None
            if received is not None:
                received._open -= 1  # noqa: SLF001
                if not received._open:  # noqa: SLF001
                    finished.append(received)
    return finished


def take_received(work: Work) -> Received | None:
    """Its delivery, for the one who asks first; the payload is somebody else's to look after from then on."""
    with _counting:
        received, work.received = work.received, None
        return received


Call = list[Work]
"""What one call of a handler carries out: one work, or a batch handler's many. Never empty, all of one handler."""
Commands = tuple[tuple[str | bytes | int | float, ...], ...]


@dataclass(slots=True)
class Result:
    """
    What became of a work.

    Attributes:
        seconds: how long the handler took; None if it wasn't called.
        late: seconds from the message's publication, or its `deliver_at`, to the handler's start.
        commands: what is written with its done-mark in one script; see `Settlement`.
        settled: it was settled already, in the handler's own transaction.
        ambiguous: the attempt may have had its effect all the same: it ran past its timeout.
    """

    work: Work
    verdict: Verdict
    seconds: float | None = None
    late: float | None = None
    commands: Commands = ()
    delay: float = 0.0
    failure: Failure | None = None
    settled: bool = False
    ambiguous: bool = False

    def settlement(self, now: float) -> Settlement:
        """For the ledger; a retry is due `delay` seconds from `now` by its clock."""
        due = now + self.delay
        return Settlement(self.work.claim, self.verdict, due, self.failure, self.ambiguous, self.commands)


def lateness(message: Message) -> float | None:
    """Seconds since the message could have been started, if it says when that was."""
    instant = message.deliver_at or message.time
    return time.time() - instant.timestamp() if instant is not None else None


def failed(work: Work, error: BaseException, seconds: float) -> Result:
    """An attempt that raised: again later, or dead."""
    stack = "".join(traceback.format_exception(error, limit=-30))
    failure = Failure(type(error).__name__, _storable(_text(error)), _storable(stack))
    delay = work.handler.delay_after(error, work.claim.attempt)
    if delay is None:
        return Result(work, Verdict.DEAD, failure=failure, seconds=seconds)
    return Result(work, Verdict.RETRY, seconds, delay=delay, failure=failure)


def timed_out(shared: Shared, work: Work, seconds: float) -> Result:
    """An attempt whose handler is given up on."""
    route, timeout = work.claim.route, work.handler.timeout
    shared.metrics.timeouts.labels(route.queue, route.group, route.handler).inc()
    log.error("handler timed out", handler=route.handler, message=work.claim.message.id)
    error = HandlerTimeout(f"handler {route.handler!r} ran past its timeout of {timeout:g} s")
    result = failed(work, error, seconds)
    # A transaction was undone; anything else may have happened, or happen still.
    result.ambiguous = work.handler.effect is not Effect.TRANSACTION
    return shared.gates.judge(result)


def cut_short(work: Work, why: str, seconds: float) -> Result:
    """An attempt that was ended by no fault of its own: tried again at once, however many there were."""
    failure = Failure("CutShort", f"handler {work.handler.name!r} was ended in the middle: {why}")
    return Result(work, Verdict.RETRY, failure=failure, seconds=seconds, ambiguous=True)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's class, and its message must still come to an end
        return "(its text can't be read)"


def _storable(text: str) -> str:
    """Lone surrogates, which file names and broken input bring along, are no text that a database takes."""
    return text.encode(errors="backslashreplace").decode()
