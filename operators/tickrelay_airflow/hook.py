# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`QueueHook`: an Airflow connection as broker and ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, get_current_context

from tickrelay_airflow.connection import pool
from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID, Settings
from tickrelay_airflow.messages import messages_of, name_of
from tickrelay_messaging.errors import ConfigurationError, UnknownQueue

if TYPE_CHECKING:
    from tickrelay_messaging.brokers.base import Broker
    from tickrelay_messaging.ledger.base import Ledger
    from tickrelay_messaging.message import Message


class QueueHook(BaseHook):
    """
    Broker and ledger of one Airflow connection; both are opened when first needed, once per process.

    Args:
        conn_id: a connection of type `tickrelay`, whose extras hold `broker` (or `broker_conn_id`), `ledger` and
            `deployment`; or of a broker's own type (`amqp`, `kafka`, `redis`, `sqlite`), with the ledger of
            `TICKRELAY_LEDGER`, if any.
    """

    conn_name_attr = "conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "tickrelay"
    hook_name = "Tickrelay"

    def __init__(self, conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__()
        self.conn_id = conn_id

    @cached_property
    def settings(self) -> Settings:
        """
        What the connection says.

        Raises:
            ConfigurationError: there is no such connection, or it names no broker.
        """
        return Settings.load(self.conn_id)

    @property
    def deployment(self) -> str:
        """Name of this Airflow deployment, part of every message id."""
        return self.settings.deployment

    @property
    def broker(self) -> Broker:
        """The broker, shared by everything in this process."""
        return pool.broker(self.settings.broker)

    @property
    def ledger(self) -> Ledger | None:
        """The ledger, shared by everything in this process; None if the connection names none."""
        return pool.ledger(self.settings.ledger) if self.settings.ledger else None

    def require_ledger(self, purpose: str) -> Ledger:
        """
        The ledger.

        Args:
            purpose: what needs it, as the beginning of the error's sentence.

        Raises:
            ConfigurationError: the connection names none.
        """
        ledger = self.ledger
        if ledger is None:
            raise ConfigurationError(f"{purpose} needs a ledger: {self.settings.how_to_name_a_ledger()}")
        return ledger

    def publish(self, queue: str, messages: Sequence[Message], *, timeout: float = 30.0) -> None:
        """
        Put messages on a queue; returns when the broker has confirmed all of them.

        Args:
            timeout: hard deadline in seconds.

        Raises:
            UnknownQueue: the queue was never declared; nothing was sent.
            PublishUnconfirmed: some were not confirmed in time; publishing the same ids again is safe.
            TickrelayError: see `tickrelay_messaging.brokers.base.Broker.publish`.
        """
        try:
            self.broker.publish(queue, messages, timeout=timeout)
        except UnknownQueue as error:
            raise UnknownQueue(
                f"queue {queue!r} doesn't exist on the broker of connection {self.conn_id!r}: "
                "declare it, start a consumer for it, or leave `declare=True`"
            ) from error

    def triggering_messages(self) -> list[dict[str, Any]]:
        """
        The messages that have started the current DAG run, oldest first, for a DAG that a watcher's asset schedules.

        Each is given to one run of the DAG, also where a triggerer died and Airflow was brought it again: whoever asks
        first has it, and a task that is retried or cleared has it again. The ledger knows that for a day. One that
        can't be decoded has no id, and may come again.

        Raises:
            ConfigurationError: the connection names no ledger.
            RuntimeError: no task is running (Airflow's).
        """
        context = get_current_context()
        ledger, run = self.require_ledger("giving each message to one run"), context["dag_run"]
        found = messages_of(context["triggering_asset_events"])
        scope = json.dumps([self.deployment, run.dag_id])
        names = [name for message in found if (name := name_of(message)) is not None]
        mine = ledger.assignments.assign(scope, run.run_id, names)
        others = {name for name, is_mine in zip(names, mine, strict=True) if not is_mine}
        return [message for message in found if name_of(message) not in others]

    def get_conn(self) -> Any:
        """The broker, under the name Airflow's hooks give it."""
        return self.broker

    def test_connection(self) -> tuple[bool, str]:
        """Whether broker and ledger answer, and in words; opens both anew, for Airflow's button `Test`."""
        try:
            return True, pool.probe(self.settings)
        except Exception as error:  # noqa: BLE001 - whatever is wrong belongs in the answer
            return False, f"{type(error).__name__}: {error}"


class AmqpHook(QueueHook):
    """The same for a connection of type `amqp`, which no provider of Airflow's has."""

    default_conn_name = "amqp_default"
    conn_type = "amqp"
    hook_name = "RabbitMQ (AMQP)"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__(conn_id)
