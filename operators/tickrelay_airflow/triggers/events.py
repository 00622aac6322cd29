# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A queue's messages as asset events, in batches: `MessageQueueTrigger(scheme="tickrelay", queue_name="orders")`.

It runs in Airflow's shared-stream ack mode: messages are acknowledged after the events made of them are in Airflow's
database. Airflow merges what has come by the time a run is made into one run, so an event holds many messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from typing import Any

from airflow.providers.common.messaging.providers.base_provider import BaseMessageQueueProvider
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID
from tickrelay_airflow.triggers.stream import Batch, QueueStream

WATCHERS_GROUP = "airflow-assets"
"""The group in which watchers receive messages, unless another is named; sensors have one of their own."""
BATCH = 500
"""Most messages in one event."""


class QueueEventTrigger(BaseEventTrigger):
    """
    Fires for as long as it lives: an event for each batch of messages, `{"queue", "group", "messages": [...]}`.

    An event without messages follows a burst, as Airflow leaves some of a burst's events without a run until another
    comes (`follow_ups`). So a run may have no messages: `messages_of` is empty then.

    Two watchers of one group share its messages out between them, each message going to one; give each asset that
    shall see all of them a group of its own.

    Args:
        queue_name: the queue of messages. (`queue` is Airflow's own: which triggerers run the trigger.)
        group: the group of consumers.
        conn_id: the Airflow connection with the broker.
        batch: most messages in one event.
        **others: what another version of this class has stored.
    """

    def __init__(
        self,
        queue_name: str = "",
        group: str = WATCHERS_GROUP,
        conn_id: str = DEFAULT_CONN_ID,
        batch: int = BATCH,
        **others: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's
        self.queue_name = queue_name
        self.group = group
        self.conn_id = conn_id
        self.batch = batch
        self.others = others

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, all plain JSON."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "queue_name": self.queue_name,
                "group": self.group,
                "conn_id": self.conn_id,
                "batch": self.batch,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """All arguments: triggers that differ in any are no siblings, so that none misses what another has had."""
        return ("tickrelay", self.conn_id, self.queue_name, self.group, self.batch)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> QueueStream:
        """The broker's side."""
        return QueueStream(kwargs["conn_id"], kwargs["queue_name"], kwargs["group"], kwargs["batch"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Batch]) -> AsyncIterator[TriggerEvent]:
        """An event for each batch."""
        async for batch in shared_stream:
            yield TriggerEvent({"queue": self.queue_name, "group": self.group, "messages": batch.messages})
            batch.passed_on += 1  # see `Batch`

    def run(self) -> AsyncIterator[TriggerEvent]:
        """
        For nobody: without Airflow's word that an event is in its database, nothing could be acknowledged.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "QueueEventTrigger watches for assets only: Asset(watchers=[AssetWatcher(name=..., trigger=...)]); "
            "a task that waits for a message uses QueueSensor"
        )


class TickrelayMessageQueueProvider(BaseMessageQueueProvider):
    """Answers to `MessageQueueTrigger(scheme="tickrelay")`, for every broker."""

    scheme = "tickrelay"

    def trigger_class(self) -> type[BaseEventTrigger]:
        """The trigger that the scheme stands for."""
        return QueueEventTrigger
