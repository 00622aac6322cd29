# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Questions to the cluster: with a time-out, asked again where Kafka says that helps, given up where it refuses us."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from tickrelay_messaging.brokers.kafka.clients import SLICE, Administrator, Clients, metadata
from tickrelay_messaging.brokers.kafka.errors import ours
from tickrelay_messaging.errors import BrokerUnavailable, UnknownQueue

PATIENCE = 15.0
"""Longest time in seconds for one answer."""

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")
Question = Callable[[Administrator, float], Mapping[_Key, Future[_Answer]]]
"""From the client and the seconds left to what will be answers."""


class Asker:
    """Thread-safe."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def ask(
        self,
        what: str,
        question: Callable[[Administrator, float], Future[_Answer]],
        timeout: float = PATIENCE,
    ) -> _Answer:
        """
        One answer.

        Args:
            what: what is being done, for the error's text.

        Raises:
            BrokerRefused: the cluster says no, to the login or to this question.
            BrokerUnavailable: no answer.
            Taken: what should be made exists.
        """
        return self.ask_all(what, lambda admin, left: {"": question(admin, left)}, timeout)[""]

    def ask_all(
        self, what: str, question: Question[_Key, _Answer], timeout: float = PATIENCE
    ) -> dict[_Key, _Answer]:
        """As `ask`, for questions with several answers."""
        deadline = time.monotonic() + timeout
        while True:
            admin, left = self._clients.admin(), max(0.01, deadline - time.monotonic())
            try:
                asked = question(admin, left)
                answers = {
                    key: self._wait(future, admin, what, deadline + 1) for key, future in asked.items()
                }
            except KafkaException as error:
                if not _may_pass(error.args[0]) or time.monotonic() >= deadline:
                    raise self._error(error.args[0], admin, what) from error
            else:
                admin.poll(0)
                admin.complaints.settle()
                return answers
            pause()

    def topic_names(self) -> set[str]:
        """Of all topics this user may see."""
        deadline = time.monotonic() + PATIENCE
        return set(metadata(self._clients.admin(), deadline, self.at("listing queues")).topics)

    def at(self, what: str) -> str:
        """The beginning of an error's text."""
        return f"Kafka at {self._clients.settings.servers}, {what}"

    def _wait(self, future: Future[_Answer], admin: Administrator, what: str, deadline: float) -> _Answer:
        while True:
            try:
                return future.result(SLICE)
            except FutureTimeout:
                admin.poll(0)
                admin.complaints.check(self.at(what))
                if time.monotonic() >= deadline:  # the client itself should have said so
                    raise BrokerUnavailable(f"{self.at(what)}: no answer in time") from None

    def _error(self, error: KafkaError, admin: Administrator, what: str) -> Exception:
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return Taken(what)
        admin.poll(0)
        return ours(error, self.at(what), admin.complaints.last)


class Taken(Exception):
    """Somebody else was quicker."""


_PASSING = frozenset(
    {
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
    }
    | {KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION}
    | {KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH}
)


def pause() -> None:
    """Before the next try."""
    time.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - only spreads retries


def until_known(work: Callable[[], _Answer]) -> _Answer:
    """Do it again until every node asked has heard of a topic that is there: one may know of it and another not yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except UnknownQueue:
            if time.monotonic() >= deadline:
                raise
        pause()


def _may_pass(error: KafkaError) -> bool:
    return error.code() in _PASSING or error.retriable()
