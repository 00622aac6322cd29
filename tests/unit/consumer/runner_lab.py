# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One runner without broker and ledger: works go in, results come out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self, TypeVar

from tickrelay_consumer.engine.dispatching import Dispatcher
from tickrelay_consumer.engine.shared import Limits, Load, Shared
from tickrelay_consumer.engine.work import Result, Work
from tickrelay_consumer.handlers import Handler
from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.ledger.records import Claim, Outcome, Owner
from tickrelay_messaging.message import Message

T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "", within: float = 30.0) -> T:
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.01)
    return value


class RunnerLab(AbstractContextManager["RunnerLab"]):
    """Handlers on their runners, with a watchdog, while inside."""

    def __init__(self, handlers: Sequence[Handler], ledger: Any = None, **limits: float) -> None:
        self.shared = Shared(
            broker=None,  # type: ignore[arg-type]  # no runner asks it
            ledger=ledger,
            group="g",
            limits=Limits(**limits),  # type: ignore[arg-type]  # numbers
            metrics=Metrics(),
            owner=Owner(1, "lab", 30.0),
            load=Load(1000),
            routes=(),
            name="lab",
        )
        self.handlers = {handler.name: handler for handler in handlers}
        self.results: list[Result] = []
        self.settles = True
        self.dispatcher = Dispatcher(self.shared, handlers, self._finish)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.dispatcher.start()
        self._watchdog = threading.Thread(target=self._watch, daemon=True)
        self._watchdog.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop(0.0)
        self._ended.set()
        self._watchdog.join()

    def stop(self, grace: float) -> None:
        """As the engine does, once."""
        if not self.shared.stopping.is_set() or not self._ended.is_set():
            self.shared.stopping.set()
            self._ended.set()
            self.dispatcher.stop(time.monotonic() + grace)

    def settle(self, results: Sequence[Result]) -> None:
        """The ledger has answered for them; done at once unless `settles` is off."""
        self.dispatcher.settled([result.work for result in results])

    def _finish(self, results: Sequence[Result]) -> None:
        self.results.extend(results)
        if self.settles:
            self.settle(results)

    def put(self, name: str, *data: object, **claim: Any) -> list[str]:
        """Works with this data; their message ids."""
        handler = self.handlers[name]
        works = [
            Work(
                Claim(Outcome.RUN, handler.route("g"), bytes(16), Message.of(one), fence=7, **claim), handler
            )
            for one in data
        ]
        self.dispatcher.put(works)
        return [work.claim.message.id for work in works]

    def result(self, id_: str, within: float = 30.0) -> Result:
        """One message's, once it is there."""
        return until(
            lambda: next((one for one in self.results if one.work.claim.message.id == id_), None), id_, within
        )

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.dispatcher.check_deadlines()
