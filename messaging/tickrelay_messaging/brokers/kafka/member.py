# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One member of a consumer group, kept alive by a thread of its own.

The thread polls whatever the caller does: so a slow handler never costs the membership (`max.poll.interval.ms`), and
rebalances and commits are answered at once. While the caller has enough to do, partitions are paused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from queue import SimpleQueue
from threading import Event, Lock, Thread

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tickrelay_messaging.brokers.kafka.admin import group_id
from tickrelay_messaging.brokers.kafka.clients import Clients
from tickrelay_messaging.brokers.kafka.errors import ours
from tickrelay_messaging.brokers.kafka.lanes import Lane
from tickrelay_messaging.errors import TickrelayError

POLL = 0.1
"""Longest time in seconds until the thread notices `leave`; a message ends it at once."""
BATCH = 500
"""Most messages taken from the client at one time."""
FULL, FULL_BYTES = 2_000, 32 << 20
"""As many messages or bytes wait here for the caller before partitions are paused."""
PATIENCE = 0.3
"""How long in seconds a full member waits for its caller before it pauses, which drops what was fetched ahead."""
COMMIT_AGAIN = 0.5
"""Seconds between a failed commit and the next."""
COMMIT_LOST = 15.0
"""Seconds after which a commit without an answer is sent again."""
LEAVING = 15.0
"""Longest time in seconds that leaving takes."""

Seen = dict[tuple[str, str, int], int]
"""(queue, group, partition) -> behind the last message this broker object handed out."""
Batch = tuple[dict[int, Lane], list[Message]]
"""Messages with the lanes of their time: a partition that went and came back has another lane by then."""

_TROUBLE = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION})  # noqa: SLF001 - public names


class Member:
    """
    Args:
        names: of queue and group.
        seen: shared by all members of a broker object.

    Attributes:
        lock: held to use `lanes`.
        lanes: the partitions it has, by number; replaced, never changed.
        batches: messages for the caller, with the lanes they came by; None only wakes it.
        joined: set once the group has given it its share, which may be nothing.
        trouble: why nothing comes, for the caller to take.
    """

    def __init__(self, clients: Clients, names: tuple[str, str], seen: Seen) -> None:
        self._queue, self._group = names
        self._seen = seen
        self.lock = Lock()
        self.lanes: dict[int, Lane] = {}
        self.batches: SimpleQueue[Batch | None] = SimpleQueue()
        self.joined = Event()
        self.trouble: TickrelayError | None = None
        self._where = f"Kafka at {clients.settings.servers}, queue {self._queue!r}, group {self._group!r}"
        self._leaving = False
        self._room = Event()
        self._put = self._taken = self._put_bytes = self._taken_bytes = 0
        self._commit_at = 0.0
        callbacks: dict[str, object] = {"error_cb": self._on_error, "on_commit": self._on_commit}
        self._consumer: Consumer | None = clients.member(group_id(*names), callbacks)
        self._thread = Thread(target=self._run, name=f"kafka:{self._queue}:{self._group}", daemon=True)
        self._thread.start()

    def opened(self, batch: list[Message]) -> None:
        """The caller has taken a batch: there is room for more."""
        self._taken += len(batch)
        self._taken_bytes += sum(map(len, batch))
        self._room.set()

    def commit(self) -> None:
        """Send what is finished and not committed, unless a commit is on its way; its end sends the rest."""
        if self._consumer is None or time.monotonic() < self._commit_at:
            return
        offsets = self._take_due()
        if offsets:
            self._commit_at = time.monotonic() + COMMIT_LOST
            with contextlib.suppress(KafkaException):  # sent again
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def leave(self) -> None:
        """Commit what is finished and give back the rest, in a bounded time; from any thread."""
        self.ask_to_leave()
        self._thread.join(LEAVING)

    def ask_to_leave(self) -> None:
        """Leave without waiting."""
        self._leaving = True
        self._room.set()
        self.batches.put(None)

    def _run(self) -> None:
        consumer = self._consumer
        assert consumer is not None
        consumer.subscribe(
            [self._queue], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        while not self._leaving:
            try:
                self._turn(consumer)
            except KafkaException as error:
                self._report(error.args[0])
                self._room.wait(COMMIT_AGAIN)
        self._end(consumer)

    def _turn(self, consumer: Consumer) -> None:
        if self._is_full():
            self._hold_back(consumer)
        self._pass_on(consumer, POLL)
        with self.lock:
            self.commit()

    def _pass_on(self, consumer: Consumer, timeout: float) -> None:
        first = consumer.poll(timeout)
        if first is not None:
            batch = [first, *consumer.consume(BATCH - 1, 0)]
            self._put += len(batch)
            self._put_bytes += sum(map(len, batch))
            self.batches.put((self.lanes, batch))

    def _is_full(self, share: float = 1.0) -> bool:
        self._room.clear()
        messages, size = self._put - self._taken, self._put_bytes - self._taken_bytes
        return not self._leaving and (messages > share * FULL or size > share * FULL_BYTES)

    def _hold_back(self, consumer: Consumer) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._is_full() and (left := deadline - time.monotonic()) > 0:
            self._room.wait(left)
        if not self._is_full():
            return
        while self._is_full(share=0.5):
            consumer.pause(consumer.assignment())  # each time: a rebalance may have brought others
            self._pass_on(consumer, POLL)
            with self.lock:
                self.commit()
        consumer.resume(consumer.assignment())

    def _end(self, consumer: Consumer) -> None:
        self._on_revoke(consumer, [TopicPartition(self._queue, partition) for partition in self.lanes])
        with self.lock:
            self._consumer = None
        with contextlib.suppress(KafkaException, RuntimeError):
            consumer.close()

    # --- what the group decides; called within poll ---

    def _on_assign(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        with self.lock:
            self.lanes = {**self.lanes, **{one.partition: self._lane(one.partition) for one in partitions}}
        self.joined.set()

    def _lane(self, partition: int) -> Lane:
        return Lane(self, partition, again=self._seen.get((self._queue, self._group, partition), 0))

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Commit what is finished, forget the rest: a later acknowledgement of it is nobody's."""
        offsets = self._give_up(partitions)
        if offsets:
            with contextlib.suppress(KafkaException):  # twice rather than never
                consumer.commit(offsets=offsets, asynchronous=False)

    def _on_lost(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Somebody else has them already: nothing may be committed."""
        self._give_up(partitions)

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

    def _take_due(self) -> list[TopicPartition]:
        offsets = []
        for lane in self.lanes.values():
            if (finished := lane.due()) is not None:
                lane.sent = finished
                offsets.append(TopicPartition(self._queue, lane.partition, finished))
        return offsets

    def _on_commit(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        with self.lock:
            failed = error is not None
            for one in partitions:
                lane = self.lanes.get(one.partition)
                if lane is None:
                    continue
                if error is None and one.error is None:
                    lane.confirmed = max(lane.confirmed, one.offset)
                else:
                    lane.sent, failed = lane.confirmed, True
            self._commit_at = time.monotonic() + COMMIT_AGAIN if failed else 0.0
            self.commit()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _TROUBLE or error.fatal():
            self._report(error)

    def _report(self, error: KafkaError) -> None:
        self.trouble = ours(error, self._where)
        self.batches.put(None)
