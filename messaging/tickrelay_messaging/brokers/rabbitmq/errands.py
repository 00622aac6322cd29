# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Orders to RabbitMQ and their answers: each errand has a channel of its own, which a refusal may close."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from pika.exceptions import NoFreeChannels

from tickrelay_messaging.brokers.rabbitmq.connection import Connection
from tickrelay_messaging.brokers.rabbitmq.errors import NO_CHANNEL, channel_error
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.errors import BrokerRefused, BrokerUnavailable

TIMEOUT = 15.0
"""Seconds for one errand, a lost connection's return included."""

Answer = TypeVar("Answer")
Steps = Generator[Callable[..., Any], Any, Answer]
"""Yields orders that take `callback=`, is sent each one's answer, and returns the errand's."""


def run(
    link: Link, steps: Callable[[Any], Steps[Answer]], what: str, deadline: float | None = None
) -> Answer:
    """
    Carry out an errand.

    Args:
        steps: makes the steps for a channel.
        what: what it is about, for errors.
        deadline: monotonic clock.

    Raises:
        UnknownQueue: something isn't there.
        QueueMismatch: it is there, but otherwise.
        BrokerRefused: no right.
        BrokerUnavailable: no connection, or no answer in time.
    """
    return run_all(link, [steps], what, deadline)[0].result()


def run_all(
    link: Link, errands: Sequence[Callable[[Any], Steps[Answer]]], what: str, deadline: float | None = None
) -> list[Future[Answer]]:
    """Carry out errands side by side; the answers, or the errors `run` would raise, are all there on return."""
    end = time.monotonic() + TIMEOUT if deadline is None else deadline
    where = f"{link.settings.where}: {what}"
    link.connect(end)
    under_way = [_Errand(steps, where) for steps in errands]
    answers = [errand.answer for errand in under_way]
    try:
        for errand in under_way:
            link.listen(errand)
        wait(answers, max(0.0, end - time.monotonic()))
    finally:
        for errand in under_way:
            link.forget(errand)
            if not errand.answer.done():
                link.post(errand.give_up)
                errand.down(BrokerUnavailable(f"{where}: no answer in time"))
    return answers


class _Errand(Generic[Answer]):
    """A listener, so that the loss of the connection ends it."""

    def __init__(self, steps: Callable[[Any], Steps[Answer]], where: str) -> None:
        self.answer: Future[Answer] = Future()
        self._make = steps
        self._where = where
        self._channel: Any = None

    def up(self, connection: Connection) -> None:
        """Starts it, unless it is under way."""
        if self._channel is None:
            try:
                self._channel = connection.channel(on_open_callback=self._opened)
            except NoFreeChannels:
                self._fail(BrokerRefused(f"{self._where}: {NO_CHANNEL}"))

    def down(self, error: BrokerUnavailable) -> None:
        """Ends it: nobody knows how far it came."""
        self._fail(type(error)(str(error)))

    def give_up(self, _: Connection) -> None:
        """Nobody waits any more."""
        if self._channel is not None and self._channel.is_open:
            self._channel.close()

    def _opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._closed)
        self._steps = self._make(channel)
        self._next(None)

    def _next(self, answer: Any) -> None:
        try:
            self._steps.send(answer)(callback=self._next)
        except StopIteration as stop:
            with suppress(InvalidStateError):
                self.answer.set_result(stop.value)
            self._channel.close()
        except Exception as error:  # noqa: BLE001 - the caller's to see, not the owner thread's to die of
            self._fail(error)
            if self._channel.is_open:
                self._channel.close()

    def _closed(self, _: Any, reason: BaseException) -> None:
        self._fail(channel_error(reason, self._where))

    def _fail(self, error: BaseException) -> None:
        with suppress(InvalidStateError):
            self.answer.set_exception(error)


def order(method: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[..., Any]:
    """A step: a channel's method, to be called with `callback=`."""
    return partial(method, *arguments, **options)
