# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One member of a consumer group, kept alive by a thread of its own.

Who receives polls the client directly: handing messages from thread to thread costs more than reading them. The thread
polls while the caller waits (so that `wake` ends the wait at once) and while it is away: so a slow handler never costs
the membership (`max.poll.interval.ms`), and rebalances and commits are answered. While the caller has enough to do,
partitions are paused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from queue import SimpleQueue
from threading import Event, Lock, Thread

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tickrelay_messaging.brokers.kafka.clients import Clients
from tickrelay_messaging.brokers.kafka.errors import Complaints, is_refusal, ours
from tickrelay_messaging.brokers.kafka.groups import group_id
from tickrelay_messaging.brokers.kafka.holdings import COMMIT_AGAIN, COMMIT_LOST, Holdings, Seen
from tickrelay_messaging.brokers.kafka.lanes import Lane
from tickrelay_messaging.errors import TickrelayError

POLL = 0.1
"""Longest time in seconds until the thread notices `leave`; a message ends it at once."""
AWAY = 0.05
"""Seconds without a receive after which the thread polls in the caller's place."""
BATCH = 500
"""Most messages the thread takes from the client at one time."""
FULL, FULL_BYTES = 2_000, 32 << 20
"""As many messages or bytes wait here for the caller before partitions are paused."""
PATIENCE = 0.3
"""How long in seconds a full member waits for its caller before it pauses, which drops what was fetched ahead."""
JOINING = 10.0
"""Longest time in seconds until the group should have given it a share; after that the thread goes on joining."""
HEARTBEATS = 4
"""So many of them later the other members have heard of one that joined, and have given up what it shall have."""
LEAVING = 15.0
"""Longest time in seconds that leaving takes."""

Batch = tuple[dict[int, Lane], list[Message]]
"""Messages with the lanes of their time: a partition that went and came back has another lane by then."""


class Member(Holdings):
    """
    Attributes:
        batches: messages for the caller, with the lanes they came by; None only wakes it.
        joined: set once the group has given it a share; it may also end up without any.
        share_by: by `time.monotonic`, when a share must have come if there is one: a first, empty one is followed by
            another as soon as the other members have heard of it.
        trouble: why nothing comes, for the caller to take.
    """

    def __init__(self, clients: Clients, names: tuple[str, str], seen: Seen) -> None:
        super().__init__(names, seen)
        self.batches: SimpleQueue[Batch | None] = SimpleQueue()
        self.joined = Event()
        self.share_by = time.monotonic() + JOINING
        self._settling = HEARTBEATS * int(clients.settings.member["heartbeat.interval.ms"]) / 1000
        self.trouble: TickrelayError | None = None
        self.complaints = Complaints()
        self._where = f"Kafka at {clients.settings.servers}, queue {self._queue!r}, group {self._group!r}"
        self._leaving = False
        self._room, self._wanted = Event(), Event()
        self._polling = Lock()
        self._called, self._commit_at = time.monotonic(), 0.0
        self._is_unanswered = False
        self._put = self._taken = self._put_bytes = self._taken_bytes = 0
        callbacks: dict[str, object] = {"error_cb": self._on_error, "on_commit": self._on_commit}
        self._consumer: Consumer | None = clients.member(group_id(*names), callbacks)
        self._thread = Thread(target=self._run, name=f"kafka:{self._queue}:{self._group}", daemon=True)
        self._thread.start()

    def take(self, limit: int, timeout: float) -> Batch | None:
        """Messages straight from the client; None if the thread is polling, or has some waiting."""
        self._called = time.monotonic()
        if not self.batches.empty() or not self._polling.acquire(blocking=False):
            return None
        try:
            consumer = self._consumer
            if consumer is None or not self.batches.empty():
                return None
            messages = consumer.consume(limit, 0)
            if not messages and timeout and (first := consumer.poll(timeout)) is not None:
                messages = [first, *consumer.consume(limit - 1, 0)] if limit > 1 else [first]
            return self.lanes, messages
        except KafkaException as error:
            self._report(error.args[0])
            return None
        finally:
            self._polling.release()

    def await_batch(self, timeout: float | None) -> Batch | None:
        """
        What the thread gets for the waiting caller; None is only a reason to look up.

        Raises:
            Empty: nothing came.
        """
        self._wanted.set()
        try:
            batch = self.batches.get(timeout != 0.0, timeout or None)
        finally:
            self._wanted.clear()
            self._called = time.monotonic()
        if batch is not None:
            self._taken += len(batch[1])
            self._taken_bytes += sum(map(len, batch[1]))
            self._room.set()
        return batch

    def recover(self) -> None:
        """Messages came: whatever was wrong is over."""
        if self.trouble is not None or self.complaints.last:
            self.trouble = None
            self.complaints.settle()

    def commit(self) -> None:
        """Send what is finished and not committed, unless a commit is on its way; its end sends the rest."""
        if self._consumer is None or time.monotonic() < self._commit_at:
            return
        if self._is_unanswered:
            self._forget_sent()
        offsets = self._take_due()
        self._is_unanswered = bool(offsets)
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
        self._wanted.set()
        self.batches.put(None)

    def _run(self) -> None:
        consumer = self._consumer
        assert consumer is not None
        consumer.subscribe(
            [self._queue], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        while not self._leaving:
            try:
                if self._wanted.wait(AWAY) or time.monotonic() - self._called > AWAY:
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
        with self._polling:
            first = consumer.poll(timeout)
            if first is None:
                return
            if not self.joined.is_set():
                self._note_refusal(first.error())  # who subscribes waits for a share, not for messages
            batch = [first, *consumer.consume(BATCH - 1, 0)]
            self._put += len(batch)
            self._put_bytes += sum(map(len, batch))
            self._wanted.clear()  # the caller comes for itself next time
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
        try:
            while self._is_full(share=0.5):
                consumer.pause(consumer.assignment())  # each time: a rebalance may have brought others
                self._pass_on(consumer, POLL)
                with self.lock:
                    self.commit()
        finally:  # whatever went wrong: a partition left paused would stand still for ever
            consumer.resume(consumer.assignment())

    def _end(self, consumer: Consumer) -> None:
        with self._polling:
            self._on_revoke(consumer, [TopicPartition(self._queue, partition) for partition in self.lanes])
            with self.lock:
                self._consumer = None
            with contextlib.suppress(KafkaException, RuntimeError):
                consumer.close()

    def _on_assign(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        with self.lock:
            self.lanes = {**self.lanes, **{one.partition: self._lane(one.partition) for one in partitions}}
        self.share_by = time.monotonic() + self._settling
        if partitions:
            self.joined.set()

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Commit what is finished, forget the rest: a later acknowledgement of it is nobody's."""
        offsets = self._give_up(partitions)
        if offsets:
            with contextlib.suppress(KafkaException):  # twice rather than never
                consumer.commit(offsets=offsets, asynchronous=False)

    def _on_lost(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Somebody else has them already: nothing may be committed."""
        self._give_up(partitions)

    def _on_commit(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        with self.lock:
            failed, self._is_unanswered = error is not None, False
            for one in partitions:
                lane = self.lanes.get(one.partition)
                if lane is None:
                    continue
                if error is None and one.error is None:
                    lane.confirmed = max(lane.confirmed, one.offset)
                else:
                    lane.sent, failed = lane.confirmed, True
                    self._note_refusal(error or one.error)
            self._commit_at = time.monotonic() + COMMIT_AGAIN if failed else 0.0
            self.commit()

    def _note_refusal(self, error: KafkaError | None) -> None:
        """A consumer that may not commit would get everything again for ever, and has to hear of it."""
        if error is not None and is_refusal(error):
            self._report(error)

    def _on_error(self, error: KafkaError) -> None:
        self.complaints.note(error)
        down = error.code() == KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - public, librdkafka's own
        if down or error.fatal() or self.complaints.final is not None:
            self._report(self.complaints.final or error)

    def _report(self, error: KafkaError) -> None:
        self.trouble = ours(error, self._where)
        self.batches.put(None)
