# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Topics: what a queue is to Kafka, found, made and remembered for a while."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # all exported, though not in its __all__
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tickrelay_messaging.brokers.kafka.asking import PATIENCE, Asker, Taken, until_known
from tickrelay_messaging.brokers.kafka.settings import PARTITIONS, Settings
from tickrelay_messaging.errors import BrokerRefused, UnknownQueue

REMEMBERED = 60.0
"""How long in seconds a topic is known without asking again."""
BEGINNING, END = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]

Offsets = dict[int, int]
"""Partition -> offset."""


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


class Topics:
    """Thread-safe."""

    def __init__(self, asker: Asker, settings: Settings) -> None:
        self._asker = asker
        self._settings = settings
        self._known: dict[str, Topic] = {}

    def find(self, queue: str, timeout: float = PATIENCE) -> Topic | None:
        """The topic, or None if there is none, or not on every node yet; remembered for a minute."""
        known = self._known.get(queue)
        if known is not None and time.monotonic() < known.known_until:
            return known
        self.forget(queue)
        try:
            partitions = self._partitions(queue, timeout)
            properties = self._properties(queue, timeout)
        except UnknownQueue:
            return None
        limit = properties.get("max.message.bytes", "")
        compacted = "compact" in properties.get("cleanup.policy", "")
        known = Topic(partitions, int(limit) if limit else None, compacted, time.monotonic() + REMEMBERED)
        self._known[queue] = known
        return known

    def get(self, queue: str, timeout: float = PATIENCE) -> Topic:
        """
        The topic.

        Raises:
            UnknownQueue: there is none.
        """
        topic = self.find(queue, timeout)
        if topic is None:
            raise UnknownQueue(
                f"queue {queue!r} was never declared on Kafka at {self._settings.servers}; declare it"
            )
        return topic

    def forget(self, queue: str) -> None:
        """Ask again next time."""
        self._known.pop(queue, None)

    def create(self, queue: str, lanes: int) -> Topic:
        """
        Make a topic, and wait until it's seen; one that another process made meanwhile is fine.

        Args:
            lanes: its partitions; 0 as the URL says.
        """
        wanted = self._settings
        partitions = lanes or wanted.partitions or PARTITIONS
        topic = NewTopic(queue, partitions, wanted.replication, config=dict(wanted.topic))
        with suppress(Taken):
            self._asker.ask(
                f"making queue {queue!r}",
                lambda admin, left: admin.create_topics([topic], request_timeout=left)[queue],
            )
        return until_known(lambda: self.get(queue))

    def lanes(self, queues: list[str]) -> dict[str, int]:
        """How many partitions each of these has; without those that are gone meanwhile."""
        if not queues:
            return {}
        answers = self._asker.ask_all(
            "looking for queues",
            lambda admin, left: admin.describe_topics(TopicCollection(queues), request_timeout=left),
        )
        return {queue: len(found.partitions) for queue, found in answers.items()}

    def offsets(self, queue: str, at: Mapping[int, OffsetSpec]) -> Offsets:
        """Offsets at the beginning, at the end or at a time, by partition; -1 where no message is as late."""
        asked = {TopicPartition(queue, partition): spec for partition, spec in at.items()}
        answers = self._asker.ask_all(
            f"reading offsets of queue {queue!r}",
            lambda admin, left: admin.list_offsets(asked, request_timeout=left),
        )
        return {one.partition: answer.offset for one, answer in answers.items()}

    def ends(self, queue: str) -> Offsets:
        """Behind the last message of each partition."""
        return self.offsets(queue, dict.fromkeys(range(self.get(queue).partitions), END))

    def _partitions(self, queue: str, timeout: float) -> int:
        wanted = TopicCollection([queue])
        found = self._asker.ask(
            f"looking for queue {queue!r}",
            lambda admin, left: admin.describe_topics(wanted, request_timeout=left)[queue],
            timeout,
        )
        return len(found.partitions)

    def _properties(self, queue: str, timeout: float) -> dict[str, str]:
        """None of them where the user may not see them: then the broker itself has to refuse what is too large."""
        resource = ConfigResource(ResourceType.TOPIC, queue)
        try:
            answer = self._asker.ask(
                f"reading properties of queue {queue!r}",
                lambda admin, left: admin.describe_configs([resource], request_timeout=left)[resource],
                timeout,
            )
        except BrokerRefused:
            return {}
        return {name: entry.value for name, entry in answer.items() if entry.value is not None}
