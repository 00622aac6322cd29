# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A queue's group as a stream of batches that Airflow acknowledges: with two threads of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from tickrelay_airflow.connection import pool
from tickrelay_airflow.connection.settings import Settings
from tickrelay_airflow.messages import delivery_as_dict
from tickrelay_airflow.triggers.follow_ups import FollowUps
from tickrelay_messaging.brokers.base import Delivery, QueueSpec, Subscription
from tickrelay_messaging.errors import ServiceError, TickrelayError

log = logging.getLogger(__name__)
Result = TypeVar("Result")

TIMEOUT = 30.0
"""Seconds after which a quiet receive begins anew."""
OUTSTANDING = 16
"""
Most batches that Airflow hasn't stored yet: nothing more is received meanwhile. Airflow itself fails a watcher that has
1,024 before it.
"""
MOST_BYTES = 256 * 1024
"""About how many bytes of bodies one event holds; a larger message is alone in its event."""
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries. Airflow makes a watcher that fails anew a second later, for ever, so none ever does."""
ACKNOWLEDGE_WITHIN = 5
"""Tries to acknowledge before the stream ends and all begins anew."""


@dataclass(slots=True)
class Batch:
    """
    What becomes one event of each watcher.

    Airflow (3.3) counts it as stored, though it is nowhere, for a watcher whose triggerer ends between taking the event
    from it and noting the event. So watchers count too: whoever was asked for the next event has passed this one on.

    Attributes:
        messages: as `messages_of` gives them.
        passed_on: watchers whose event Airflow has noted.
    """

    messages: list[dict[str, Any]]
    deliveries: list[Delivery]
    passed_on: int = 0


class QueueStream(SharedStreamProducer):
    """See `airflow.triggers.shared_stream.SharedStreamProducer`."""

    def __init__(self, conn_id: str, queue: str, group: str, batch: int) -> None:
        self._conn_id = conn_id
        self._queue = queue
        self._group = group
        self._batch = batch
        self._room = asyncio.Semaphore(OUTSTANDING)
        self._follow_ups = FollowUps()
        self._subscription: Subscription | None = None
        self._receiving = ThreadPoolExecutor(1, thread_name_prefix=f"tickrelay-watch-{queue}")
        self._acknowledging = ThreadPoolExecutor(1, thread_name_prefix=f"tickrelay-watched-{queue}")

    async def open_stream(self) -> AsyncIterator[tuple[Batch, Batch]]:
        """Batches, for ever; an empty one follows a burst. What fails is tried again, with longer and longer pauses."""
        pause = SHORTEST_PAUSE
        while True:
            try:
                deliveries = await self._receive()
            except Exception as error:  # noqa: BLE001 - see LONGEST_PAUSE
                log.warning("Watching %s/%s: %s; again in %g s", self._queue, self._group, error, pause)
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            pause = SHORTEST_PAUSE
            parts = _parts(deliveries)
            if not parts and self._follow_ups.take():
                parts = [[]]
            for part in parts:
                await self._room.acquire()
                if part:
                    self._follow_ups.note()
                made = Batch([delivery_as_dict(one) for one in part], part)
                yield made, made

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """
        Acknowledge what is in Airflow's database.

        Raises:
            TickrelayError: an event was not stored, or the broker doesn't answer: the stream begins anew, and what is
                not acknowledged comes again.
        """
        for _ in batch:
            self._room.release()
        stored = [item.broker_payload for item in batch if _is_stored(item)]
        if deliveries := [one for made in stored for one in made.deliveries]:
            await self._acknowledge(deliveries)
        if len(stored) < len(batch):
            raise TickrelayError(
                f"an event of queue {self._queue!r}, group {self._group!r} wasn't stored by Airflow; it comes again"
            )

    async def aclose(self) -> None:
        """Leave the group; what isn't acknowledged goes back to the broker."""
        if self._subscription is not None:
            self._subscription.wake()
        await self._in(self._receiving, self._leave)  # behind a join or a receive that is still under way
        self._receiving.shutdown(wait=False)
        self._acknowledging.shutdown(wait=False)

    async def _receive(self) -> list[Delivery]:
        if self._subscription is None:
            settings = await Settings.aload(self._conn_id)
            await self._in(self._receiving, lambda: self._join(settings))
        subscription = self._subscription
        assert subscription is not None
        timeout = self._follow_ups.wait(TIMEOUT)
        return await self._in(self._receiving, lambda: subscription.receive(self._batch, timeout))

    def _join(self, settings: Settings) -> None:
        broker = pool.broker(settings.broker)
        broker.declare(QueueSpec(self._queue, (self._group,)))
        self._subscription = broker.subscribe(self._queue, self._group)

    def _leave(self) -> None:
        if self._subscription is not None:
            self._subscription.close()

    async def _acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        subscription = self._subscription
        assert subscription is not None
        for left in reversed(range(ACKNOWLEDGE_WITHIN)):
            try:
                await self._in(self._acknowledging, lambda: subscription.acknowledge(deliveries))
            except ServiceError:
                if not left:
                    raise
                await asyncio.sleep(SHORTEST_PAUSE)
            else:
                return

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(executor, work)


def _is_stored(item: AdvanceItem) -> bool:
    made: Batch = item.broker_payload
    return item.outcome.is_clean and made.passed_on >= item.outcome.acked


def _parts(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """As few as their sizes allow, in their order."""
    parts: list[list[Delivery]] = []
    size = 0
    for delivery in deliveries:
        size += len(delivery.body)
        if not parts or size > MOST_BYTES:
            parts.append([])
            size = len(delivery.body)
        parts[-1].append(delivery)
    return parts
