# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Orders to RabbitMQ and their answers: each errand has a channel of its own, which a refusal may close."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from tickrelay_messaging.brokers.rabbitmq.connection import Connection
from tickrelay_messaging.brokers.rabbitmq.errors import channel_error
from tickrelay_messaging.brokers.rabbitmq.link import Link
from tickrelay_messaging.errors import BrokerUnavailable

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
        BrokerUnavailable: no connection, no right, or no answer in time.
    """
    end = time.monotonic() + TIMEOUT if deadline is None else deadline
    where = f"{link.settings.where}: {what}"
    link.connect(end)
    errand = _Errand(steps, where)
    link.listen(errand)
    try:
        return errand.answer.result(max(0.0, end - time.monotonic()))
    except NotInTime:
        link.post(errand.give_up)
        raise BrokerUnavailable(f"{where}: no answer in time") from None
    finally:
        link.forget(errand)


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
            self._channel = connection.channel(on_open_callback=self._opened)

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
