# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Inside a child process: takes a call, makes it, answers; one at a time, until the line ends."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tickrelay_consumer.context import Context
from tickrelay_consumer.engine.runners.calling import carry_out
from tickrelay_consumer.engine.runners.frames import Frame, Line, read_call, results_of
from tickrelay_consumer.engine.work import Work, failed
from tickrelay_consumer.handlers import Handler
from tickrelay_messaging import errors

Handlers = dict[tuple[str, str], Handler]


def load(target: str) -> Handlers:
    """The handlers of the consumer that is found under a target."""
    from tickrelay_consumer.commands._target import load_consumer

    return {(handler.queue, handler.name): handler for handler in load_consumer(target).handlers}


def why_broken(error: BaseException) -> dict[str, Any]:
    """What a frame says when the handlers can't be had."""
    cause = error.__cause__ or error
    return {"is": "broken", "why": str(error), "stack": "".join(traceback.format_exception(cause, limit=-10))}


def serve(line: Line, handlers: Handlers) -> None:
    """Until the consumer ends the line."""
    line.tell({"is": "ready"})
    while (frame := line.hear()) is not None:
        answer = _answer(line, frame, handlers)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        line.tell(answer)


def _answer(line: Line, frame: Frame, handlers: Handlers) -> dict[str, Any]:
    call = read_call(frame, handlers)
    places = {id(work): place for place, work in enumerate(call)}
    try:
        return results_of(carry_out(call, lambda work: _context(work, RemoteSteps(line, places[id(work)]))))
    except Exception as error:  # noqa: BLE001 - what a failpoint raises outside of a handler
        return results_of([failed(work, error, 0.0) for work in call])


def _context(work: Work, steps: RemoteSteps) -> Context:
    return Context(work.claim, steps=lambda _: steps)


@dataclass(frozen=True, slots=True)
class RemoteSteps:
    """A `StepStore` that asks the consumer, which asks the ledger."""

    line: Line
    place: int

    def get(self, name: str) -> bytes | None:
        """What a step of this name brought at an earlier attempt."""
        blobs = self._ask({"is": "step", "place": self.place, "name": name}, [])
        return blobs[0] if blobs else None

    def put(self, name: str, result: bytes) -> None:
        """Remember it."""
        self._ask({"is": "step", "place": self.place, "name": name}, [result])

    def _ask(self, says: dict[str, Any], blobs: list[bytes]) -> list[bytes]:
        self.line.tell(says, blobs)
        answer = self.line.hear()
        if answer is None:
            raise errors.LedgerUnavailable("the consumer is gone, so no step can be looked up or kept")
        said, found = answer
        if why := said.get("error"):
            raise _KINDS.get(why[0], errors.LedgerUnavailable)(why[1])
        return found


_KINDS = {kind.__name__: kind for kind in (errors.ClaimLost, errors.CallerError, errors.LedgerUnavailable)}
