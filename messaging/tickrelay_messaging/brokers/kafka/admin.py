# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Topics, groups and offsets, by the administrator's requests.

A queue is a topic, a group a Kafka consumer group `<queue>:<group>` (no name of ours has a colon). That a group was
declared is recorded by its committed offsets, nowhere else: so Kafka's own tools show and repair everything.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # all exported, though not in its __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tickrelay_messaging.brokers.kafka.clients import Clients
from tickrelay_messaging.brokers.kafka.errors import ours
from tickrelay_messaging.brokers.kafka.settings import PARTITIONS
from tickrelay_messaging.errors import BrokerUnavailable, ConfigurationError, UnknownQueue

PATIENCE = 15.0
"""Longest time in seconds for one answer."""
REMEMBERED = 60.0
"""How long in seconds a topic is known without asking again."""
BEGINNING, END = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]

Offsets = dict[int, int]
"""Partition -> offset."""

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Topic:
    """
    Attributes:
        partitions: how many.
        limit: most bytes of a message, or None if we may not know.
        compacted: Kafka drops messages of its own accord when another has their key.
        known_until: by `time.monotonic`.
    """

    partitions: int
    limit: int | None
    compacted: bool
    known_until: float


def group_id(queue: str, group: str) -> str:
    """Kafka's name of a group."""
    return f"{queue}:{group}"


class Administration:
    """Thread-safe; every question has a time-out and asks again where Kafka says that helps."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._topics: dict[str, Topic] = {}

    def topic(self, queue: str, timeout: float = PATIENCE) -> Topic | None:
        """The topic, or None if there is none; remembered for a minute."""
        known = self._topics.get(queue)
        if known is not None and time.monotonic() < known.known_until:
            return known
        self.forget(queue)
        partitions = self._partitions(queue, timeout)
        if partitions is None:
            return None
        properties = self._properties(queue, timeout)
        limit = properties.get("max.message.bytes", "")
        compacted = "compact" in properties.get("cleanup.policy", "")
        known = Topic(partitions, int(limit) if limit else None, compacted, time.monotonic() + REMEMBERED)
        self._topics[queue] = known
        return known

    def forget(self, queue: str) -> None:
        """Ask again next time."""
        self._topics.pop(queue, None)

    def create(self, queue: str) -> None:
        """Make a topic as the URL says, and wait until it's seen; one that another process made meanwhile is fine."""
        wanted = self._clients.settings
        topic = NewTopic(
            queue, wanted.partitions or PARTITIONS, wanted.replication, config=dict(wanted.topic)
        )
        with suppress(_TopicExists):
            self._ask(
                f"making queue {queue!r}",
                lambda admin, left: admin.create_topics([topic], request_timeout=left)[queue],
            )
        deadline = time.monotonic() + PATIENCE
        while self.topic(queue) is None and time.monotonic() < deadline:
            _pause()  # until the brokers have heard of it

    def groups(self) -> dict[str, list[str]]:
        """Queue -> its groups, of every group whose name is ours and whose topic exists."""
        found = self._ask(
            "listing groups", lambda admin, left: admin.list_consumer_groups(request_timeout=left)
        )
        if not found.valid and found.errors:
            raise ours(found.errors[0].args[0], self._at("listing groups"))
        topics = self._topic_names()
        groups: dict[str, list[str]] = {}
        for one in sorted(one.group_id for one in found.valid):
            queue, colon, group = one.partition(":")
            if colon and queue in topics:
                groups.setdefault(queue, []).append(group)
        return groups

    def committed(self, queue: str, group: str) -> Offsets | None:
        """What a group is through with, or None if it was never declared."""
        name = group_id(queue, group)
        asked = ConsumerGroupTopicPartitions(name)
        answer = self._ask(
            f"reading offsets of {name!r}",
            lambda admin, left: admin.list_consumer_group_offsets([asked], request_timeout=left)[name],
        )
        offsets = {
            one.partition: one.offset
            for one in answer.topic_partitions
            if one.topic == queue and one.offset >= 0
        }
        return offsets or None

    def commit(self, queue: str, group: str, offsets: Mapping[int, int]) -> None:
        """
        Set a group's offsets.

        Raises:
            CallerError: it has consumers.
        """
        name = group_id(queue, group)
        wanted = [TopicPartition(queue, partition, offset) for partition, offset in offsets.items()]
        change = ConsumerGroupTopicPartitions(name, wanted)
        answer = self._ask(
            f"setting offsets of {name!r}",
            lambda admin, left: admin.alter_consumer_group_offsets([change], request_timeout=left)[name],
        )
        for one in answer.topic_partitions:
            if one.error is not None:
                raise ours(one.error, self._at(f"setting offsets of {name!r}"))

    def offsets(self, queue: str, at: Mapping[int, OffsetSpec]) -> Offsets:
        """Offsets at the beginning, at the end or at a time, by partition; -1 where no message is as late."""
        asked = {TopicPartition(queue, partition): spec for partition, spec in at.items()}
        answers = self._ask_all(
            f"reading offsets of queue {queue!r}",
            lambda admin, left: admin.list_offsets(asked, request_timeout=left),
        )
        return {one.partition: answer.offset for one, answer in answers.items()}

    def consumers(self, queue: str, groups: Iterable[str]) -> dict[str, int]:
        """Live members by group."""
        names = {group: group_id(queue, group) for group in groups}
        answers = self._ask_all(
            f"describing groups of queue {queue!r}",
            lambda admin, left: admin.describe_consumer_groups(list(names.values()), request_timeout=left),
        )
        return {group: len(answers[name].members) for group, name in names.items()}

    def _partitions(self, queue: str, timeout: float) -> int | None:
        try:
            found = self._ask(
                f"looking for queue {queue!r}",
                lambda admin, left: admin.describe_topics(TopicCollection([queue]), request_timeout=left)[
                    queue
                ],
                timeout,
            )
        except UnknownQueue:
            return None
        return len(found.partitions)

    def _properties(self, queue: str, timeout: float) -> dict[str, str]:
        """None of them where the user may not see them: then the broker itself has to refuse what is too large."""
        resource = ConfigResource(ResourceType.TOPIC, queue)
        try:
            answer = self._ask(
                f"reading properties of queue {queue!r}",
                lambda admin, left: admin.describe_configs([resource], request_timeout=left)[resource],
                timeout,
            )
        except ConfigurationError:
            return {}
        return {name: entry.value for name, entry in answer.items() if entry.value is not None}

    def _topic_names(self) -> set[str]:
        try:
            return set(self._clients.admin().list_topics(timeout=PATIENCE).topics)
        except KafkaException as error:
            raise ours(error.args[0], self._at("listing queues"), self._clients.hint()) from error

    def _ask(
        self, what: str, question: Callable[[AdminClient, float], Future[_Answer]], timeout: float = PATIENCE
    ) -> _Answer:
        return self._ask_all(what, lambda admin, left: {"": question(admin, left)}, timeout)[""]

    def _ask_all(
        self,
        what: str,
        question: Callable[[AdminClient, float], Mapping[_Key, Future[_Answer]]],
        timeout: float = PATIENCE,
    ) -> dict[_Key, _Answer]:
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.01, deadline - time.monotonic())
            try:
                asked = question(self._clients.admin(), left)
                return {key: future.result(left + 1) for key, future in asked.items()}
            except KafkaException as error:
                if not _may_pass(error.args[0]) or time.monotonic() >= deadline:
                    raise self._error(error.args[0], what) from error
            except FutureTimeout:
                raise BrokerUnavailable(f"{self._at(what)}: no answer in {timeout:g} s") from None
            _pause()

    def _error(self, error: KafkaError, what: str) -> Exception:
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return _TopicExists(what)
        return ours(error, self._at(what), self._clients.hint())

    def _at(self, what: str) -> str:
        return f"Kafka at {self._clients.settings.servers}, {what}"


class _TopicExists(Exception):
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


def _pause() -> None:
    time.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - only spreads retries


def _may_pass(error: KafkaError) -> bool:
    return error.code() in _PASSING or error.retriable()
