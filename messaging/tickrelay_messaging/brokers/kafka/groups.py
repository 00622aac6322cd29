# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Groups: a Kafka consumer group `<queue>:<group>` each (no name of ours has a colon).

That a group was declared is recorded by its committed offsets, nowhere else: so Kafka's own tools show and repair
everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from tickrelay_messaging.brokers.kafka.admin import Offsets
from tickrelay_messaging.brokers.kafka.asking import Asker
from tickrelay_messaging.brokers.kafka.errors import ours
from tickrelay_messaging.errors import UnknownQueue


def group_id(queue: str, group: str) -> str:
    """Kafka's name of a group."""
    return f"{queue}:{group}"


class Groups:
    """Thread-safe."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def all(self) -> dict[str, list[str]]:
        """Queue -> its groups, of every group whose name is ours and whose topic exists."""
        found = self._asker.ask(
            "listing groups", lambda admin, left: admin.list_consumer_groups(request_timeout=left)
        )
        if not found.valid and found.errors:
            first = found.errors[0]  # a KafkaError; it may be either
            error = first.args[0] if isinstance(first, KafkaException) else first
            raise ours(error, self._asker.at("listing groups"))
        topics = self._asker.topic_names()
        groups: dict[str, list[str]] = {}
        for one in sorted(one.group_id for one in found.valid):
            queue, colon, group = one.partition(":")
            if colon and queue in topics:
                groups.setdefault(queue, []).append(group)
        return groups

    def of(self, queue: str) -> list[str]:
        """The groups of one queue."""
        return self.all().get(queue, [])

    def committed(self, queue: str, group: str) -> Offsets | None:
        """What a group is through with, or None if it was never declared."""
        name = group_id(queue, group)
        asked = ConsumerGroupTopicPartitions(name)
        answer = self._asker.ask(
            f"reading offsets of {name!r}",
            lambda admin, left: admin.list_consumer_group_offsets([asked], request_timeout=left)[name],
        )
        offsets = {
            one.partition: one.offset
            for one in answer.topic_partitions
            if one.topic == queue and one.offset >= 0
        }
        return offsets or None

    def get(self, queue: str, group: str) -> Offsets:
        """
        What a group is through with.

        Raises:
            UnknownQueue: it was never declared.
        """
        committed = self.committed(queue, group)
        if committed is None:
            raise UnknownQueue(
                f"{self._asker.at(f'queue {queue!r}')}: it has no group {group!r}: it was never declared, or "
                "forgotten after offsets.retention.minutes without consumers; declare it"
            )
        return committed

    def commit(self, queue: str, group: str, offsets: Mapping[int, int]) -> None:
        """
        Set a group's offsets.

        Raises:
            CallerError: it has consumers.
        """
        name = group_id(queue, group)
        what = f"setting offsets of {name!r}"
        wanted = [TopicPartition(queue, partition, offset) for partition, offset in offsets.items()]
        change = ConsumerGroupTopicPartitions(name, wanted)
        answer = self._asker.ask(
            what,
            lambda admin, left: admin.alter_consumer_group_offsets([change], request_timeout=left)[name],
        )
        for one in answer.topic_partitions:
            if one.error is not None:
                raise ours(one.error, self._asker.at(what))

    def delete(self, queue: str, group: str) -> None:
        """
        End a group; one that isn't there is fine.

        Raises:
            CallerError: it has consumers.
        """
        name = group_id(queue, group)
        with suppress(UnknownQueue):
            self._asker.ask(
                f"ending group {name!r}",
                lambda admin, left: admin.delete_consumer_groups([name], request_timeout=left)[name],
            )

    def consumers(self, queue: str, groups: Iterable[str]) -> dict[str, int]:
        """Live members by group."""
        names = {group: group_id(queue, group) for group in groups}
        if not names:
            return {}
        answers = self._asker.ask_all(
            f"describing groups of queue {queue!r}",
            lambda admin, left: admin.describe_consumer_groups(list(names.values()), request_timeout=left),
        )
        return {group: len(answers[name].members) for group, name in names.items()}
