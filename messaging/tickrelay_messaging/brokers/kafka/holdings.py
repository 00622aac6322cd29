# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The partitions a member of a group has, and what of them may be committed."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from confluent_kafka import TopicPartition

from tickrelay_messaging.brokers.kafka.lanes import Lane

COMMIT_AGAIN = 0.5
"""Seconds between a failed commit and the next."""
COMMIT_LOST = 15.0
"""Seconds after which a commit without an answer is sent again."""

Seen = dict[tuple[str, str, int], int]
"""(queue, group, partition) -> behind the last message this broker object handed out."""


class Holdings:
    """
    Args:
        names: of queue and group.
        seen: shared by all members of a broker object.

    Attributes:
        lock: held to use `lanes`.
        lanes: the partitions it has, by number; replaced, never changed.
    """

    def __init__(self, names: tuple[str, str], seen: Seen) -> None:
        self._queue, self._group = names
        self._seen = seen
        self.lock = Lock()
        self.lanes: dict[int, Lane] = {}

    def _lane(self, partition: int) -> Lane:
        return Lane(self, partition, again=self._seen.get((self._queue, self._group, partition), 0))

    def _give_up(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        with self.lock:
            offsets = []
            for lane in [self.lanes[one.partition] for one in partitions if one.partition in self.lanes]:
                lane.sent = lane.confirmed  # a commit on its way may still fail
                if (finished := lane.due()) is not None:
                    offsets.append(TopicPartition(self._queue, lane.partition, finished))
                self._remember(lane)
                lane.live = False
            gone = {one.partition for one in partitions}
            self.lanes = {partition: lane for partition, lane in self.lanes.items() if partition not in gone}
            return offsets

    def _remember(self, lane: Lane) -> None:
        place = (self._queue, self._group, lane.partition)
        self._seen[place] = max(self._seen.get(place, 0), lane.next or 0)

    def _forget_sent(self) -> None:
        """A commit's answer got lost, or it was never sent: what isn't known to be committed is due again."""
        for lane in self.lanes.values():
            lane.sent = lane.confirmed

    def _take_due(self) -> list[TopicPartition]:
        offsets = []
        for lane in self.lanes.values():
            if (finished := lane.due()) is not None:
                lane.sent = finished
                offsets.append(TopicPartition(self._queue, lane.partition, finished))
        return offsets
