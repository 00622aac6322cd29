# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`QueueSensor`: a DAG that waits for a message, or for what becomes of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException

from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID
from tickrelay_airflow.hook import QueueHook
from tickrelay_airflow.naming import MessageQueueOperator, sort_out
from tickrelay_airflow.triggers.queue import QueueTrigger
from tickrelay_airflow.waiting import collecting
from tickrelay_airflow.waiting.conditions import Arrived, Condition, Drained, Outcome, Settled
from tickrelay_airflow.waiting.matching import Match, check_match
from tickrelay_airflow.waiting.upstream import batches_of
from tickrelay_messaging.brokers.base import DEFAULT_GROUP, QueueSpec, Subscription
from tickrelay_messaging.errors import ConfigurationError, TickrelayError
from tickrelay_messaging.ids import stable_id
from tickrelay_messaging.plain import as_dict

if TYPE_CHECKING:
    from airflow.sdk import Context

Until = Literal["message", "settled", "drained"]

SENSORS_GROUP = "airflow"
"""The group in which sensors receive messages, unless another is named."""


class QueueSensor(MessageQueueOperator, BaseSensorOperator):
    """
    Wait for a queue. Deferred by default: thousands of waiting sensors share one connection of the triggerer.

    Args:
        queue: the queue of messages (templated). The executor's queue is `executor_queue`.
        until: what to wait for:
            `message`: one message of the sensors' group, given to this task and to no other; XCom has it as a
            dict. A retried or cleared task is given the same message again.
            `settled`: every message of the upstream `PublishToQueueOperator` tasks on this queue has come to its
            end in the group. Dead or discarded ones fail the task; expired, revoked and skipped ones count. XCom has
            the counts.
            `drained`: the group has nothing left to do, at the broker or parked in the ledger.
        group: the group of consumers (templated); for `message` the sensors' own, by default `airflow`.
        match: which message (templated): attributes `id`, `source`, `type`, `subject`, `key`, and fields of
            `headers`, `extensions` and `data`, all to be equal:
            `{"type": "order.paid", "data": {"region": "eu"}}`.
        consume: for `message`: take it, so that no other sensor gets it. With False it is only seen: every such
            sensor sees it, and one that takes may still have it. Seen is what has arrived since this run was to
            begin (its `run_after`), so that yesterday's message doesn't start today's run; a retry sees the same.
        batch: for `settled`: batch id, or ids, instead of the upstream tasks' (templated); what a publishing
            task left in XCom is fine too.
        conn_id: the Airflow connection with broker and ledger.
        deferrable: wait in the triggerer; otherwise in the worker, by `mode` and `poke_interval`.
        **kwargs: `timeout`, `soft_fail` and whatever else a sensor takes.
    """

    template_fields = ("queue_name", "group", "match", "batch")
    template_fields_renderers: ClassVar[dict[str, str]] = {"match": "json"}
    ui_color = "#dff1ea"

    def __init__(  # noqa: PLR0913 - an operator is its keywords
        self,
        *,
        queue: str | None = None,
        queue_name: str | None = None,
        until: Until = "message",
        group: str | None = None,
        match: Match = None,
        consume: bool = True,
        batch: str | Sequence[str] | Mapping[str, Any] | None = None,
        conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        self.queue_name = sort_out(kwargs, queue, queue_name)
        super().__init__(**kwargs)
        _check(until, match, batch, consume=consume)
        self.until = until
        self.group = group or (SENSORS_GROUP if until == "message" else DEFAULT_GROUP)
        self.match = match
        self.consume = consume
        self.batch = batch
        self.conn_id = conn_id
        self.deferrable = deferrable
        self._subscription: Subscription | None = None

    def execute(self, context: Context) -> Any:  # noqa: RET503 - `defer` raises
        """
        Wait, in the triggerer or here.

        Raises:
            AirflowFailException: messages ended badly.
            TickrelayError: it can't be waited for.
        """
        condition = self._prepare(context)
        if not self.deferrable:
            with self._receiving(condition) as self._subscription:
                return super().execute(context)
        outcome = condition.glance(self._hook.broker, self._hook.ledger)
        if outcome is not None:
            return self._finish(condition, outcome)
        self.defer(
            trigger=QueueTrigger(conn_id=self.conn_id, condition=condition.as_dict()),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """
        Go on where the trigger has fired. The event holds no message, only that there is one for this task.

        Raises:
            AirflowFailException: messages ended badly.
            TickrelayError: the trigger couldn't wait.
        """
        event = event or {}
        if event.get("status") != "fulfilled":
            raise TickrelayError(f"waiting failed in the triggerer: {event.get('error', f'event {event!r}')}")
        return self._finish(self._condition(context), event["outcome"])

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, in the worker."""
        condition = self._condition(context)
        outcome = condition.check(self._hook.broker, self._hook.ledger)
        if outcome is None and self._subscription is not None:
            self._collect(self._subscription)
            outcome = condition.check(self._hook.broker, self._hook.ledger)
        if outcome is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._finish(condition, outcome))

    @property
    def _hook(self) -> QueueHook:
        return QueueHook(self.conn_id)

    def _prepare(self, context: Context) -> Condition:
        if self.until == "message":
            self._hook.require_ledger('QueueSensor(until="message")')
            self._hook.broker.declare(QueueSpec(self.queue_name, (self.group,)))
        return self._condition(context)

    def _condition(self, context: Context) -> Condition:
        if self.until == "drained":
            return Drained(self.queue_name, self.group)
        if self.until == "message":
            return Arrived(
                self.queue_name,
                self.group,
                taker=self._taker(context),
                match=self.match,
                consume=self.consume,
                since=0.0 if self.consume else context["dag_run"].run_after.timestamp(),
            )
        ledger = self._hook.require_ledger('QueueSensor(until="settled")')
        return Settled(self.queue_name, self.group, batches_of(self, context, ledger))

    def _taker(self, context: Context) -> str:
        """The task instance, whichever try it is."""
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        name = stable_id("taker", self._hook.deployment, ti.dag_id, ti.run_id, ti.task_id, map_index)
        return f"{ti.dag_id}/{ti.task_id}/{name}"

    @contextmanager
    def _receiving(self, condition: Condition) -> Iterator[Subscription | None]:
        """One membership for all looks of this process: joining a group may take seconds (Kafka)."""
        if not condition.receives:
            yield None
            return
        with self._hook.broker.subscribe(self.queue_name, self.group) as subscription:
            yield subscription

    def _collect(self, subscription: Subscription) -> None:
        """
        Move what the group has got into the mailbox: what a worker receives is kept for every sensor.

        Where more and more comes, the rest is left to the next look: without an end to it this sensor would neither see
        its message nor time out.
        """
        ledger = self._hook.require_ledger('QueueSensor(until="message")')
        received = collecting.collect(subscription, ledger, timeout=collecting.PATIENCE)
        end = time.monotonic() + collecting.PATIENCE
        while received and time.monotonic() < end:
            received = collecting.collect(subscription, ledger, timeout=0.0)

    def _finish(self, condition: Condition, outcome: Outcome) -> Any:
        if isinstance(condition, Arrived):
            return self._message(condition)
        self.log.info("Queue %s, group %s: %s", self.queue_name, self.group, outcome)
        _fail_if_any_ended_badly(outcome)
        return outcome

    def _message(self, condition: Arrived) -> dict[str, Any]:
        """The message from the mailbox, where it is this task's by now, or was seen by it."""
        mail = condition.mail(self._hook.require_ledger('QueueSensor(until="message")'))
        if mail is None:
            raise TickrelayError(f"the message for this task is gone from the mailbox of {condition.queue!r}")
        self.log.info("Received message %s from queue %s", mail.message.id, condition.queue)
        return as_dict(mail.message)


def _check(until: str, match: Match, batch: object, *, consume: bool) -> None:
    if until not in ("message", "settled", "drained"):
        raise ConfigurationError(f"until={until!r}: choose message, settled or drained")
    if match and until != "message":
        raise ConfigurationError(f"match= chooses a message; until={until!r} looks at all of them")
    if not consume and until != "message":
        raise ConfigurationError(f"consume=False looks at a message; until={until!r} takes none anyway")
    if batch and until != "settled":
        raise ConfigurationError(
            f"batch= names what shall be settled; until={until!r} doesn't look at batches"
        )
    if isinstance(match, Mapping):
        check_match(match)


def _fail_if_any_ended_badly(outcome: Outcome) -> None:
    handlers = cast("dict[str, dict[str, int]]", outcome.get("handlers", {}))
    bad = {name: counts for name, counts in handlers.items() if counts["dead"] or counts["discarded"]}
    if not bad:
        return
    told = "; ".join(
        f"{name}: {c['dead']} dead, {c['discarded']} discarded, of {c['messages']}" for name, c in bad.items()
    )
    raise AirflowFailException(
        f"messages of queue {outcome['queue']!r} ended badly in group {outcome['group']!r} ({told}). "
        f"See them with `tickrelay dead list --queue {outcome['queue']}`; after replaying them, clear this task"
    )
