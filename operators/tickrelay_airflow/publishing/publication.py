# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One publishing task instance at work: a batch opened, streamed to the broker in chunks, and closed with its
count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import UnknownQueue
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.seen import SeenIds

if TYPE_CHECKING:
    from tickrelay_airflow.hook import QueueHook
    from tickrelay_messaging.ledger.records import BatchInfo
    from tickrelay_messaging.message import Message

CHUNK = 1_000
"""Most messages that are put on the queue, and waited for, at once."""
CHUNK_BYTES = 4 << 20
"""
Most bytes of payload in a chunk, unless one message alone is larger: what bounds the memory of a publishing
task.
"""


@dataclass(slots=True)
class Published:
    """
    What a task has put on a queue; what its XCom holds.

    Attributes:
        published: messages confirmed by the broker.
        distinct: different ids among them, which is how many will be carried out.
        already_done: how many of these had been carried out before, seen when a task runs again.
        ledger: id of the ledger that follows the batch, or None.
    """

    batch_id: str
    queue: str
    published: int = 0
    distinct: int = 0
    already_done: int = 0
    ledger: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As XCom keeps it."""
        return asdict(self)


class Publication:
    """
    Puts one batch on a queue.

    Args:
        declare: make the queue if it doesn't exist.
    """

    def __init__(self, hook: QueueHook, info: BatchInfo, *, declare: bool) -> None:
        self._hook = hook
        self._ledger = hook.ledger
        self._declare = declare
        self._info = info
        self._named = SeenIds()
        self.result = Published(info.id, info.queue, ledger=self._ledger.id if self._ledger else None)
        self.ordinal = 0

    def open(self) -> int:
        """Begin, or begin again; returns which time this is, 0 without a ledger."""
        if self._ledger is not None:
            self.ordinal = self._ledger.batches.open(self._info)
        return self.ordinal

    def publish(self, messages: Iterable[Message], proceed: Callable[[], None]) -> Published:
        """
        Put the messages on the queue chunk by chunk, each confirmed before the next is read; then close the
        batch.

        Args:
            proceed: called between chunks; raises to stop.
        """
        for chunk in chunks(messages):
            proceed()
            new = [message for message in chunk if self._named.add(_bytes_of(message.id))]
            if self.ordinal > 1 and self._ledger is not None:
                self.result.already_done += self._ledger.batches.known(self._info.queue, new)
            failpoint("publish.before_send")
            self._put(chunk)
            failpoint("publish.after_confirm")
            self.result.published += len(chunk)
            self.result.distinct += len(new)
        self._close()
        return self.result

    def _put(self, chunk: list[Message]) -> None:
        try:
            self._hook.publish(self._info.queue, chunk)
        except UnknownQueue:
            if not self._declare:
                raise
            # Only a queue that is missing is declared: a default group added to one that has others, and no
            # consumer for it, would fill for ever.
            self._hook.broker.declare(QueueSpec(self._info.queue))
            self._hook.publish(self._info.queue, chunk)

    def _close(self) -> None:
        if self._ledger is not None:
            self._ledger.batches.close(
                self._info.id, self.ordinal, count=self.result.distinct, already_done=self.result.already_done
            )


def _bytes_of(name: str) -> bytes:
    """A UUID's bytes, in a fraction of the time that making a UUID takes."""
    return bytes.fromhex(name.replace("-", ""))


def chunks(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages in lists of at most `CHUNK` messages and about `CHUNK_BYTES` bytes."""
    chunk: list[Message] = []
    size = 0
    for message in messages:
        chunk.append(message)
        size += len(message.body)
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
