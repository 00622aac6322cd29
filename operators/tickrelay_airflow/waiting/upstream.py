# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which batches a sensor waits for: those its upstream tasks have published, or those it was told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_messaging.errors import ConfigurationError, LedgerMismatch

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tickrelay_airflow.sensor import QueueSensor
    from tickrelay_messaging.ledger.base import Ledger

Batches = dict[str, int | None]
"""Batch id -> how many distinct messages, where known."""


def batches_of(sensor: QueueSensor, context: Context, ledger: Ledger) -> Batches:
    """
    The batches a sensor waits for.

    Upstream tasks' come from their XCom, which tells what their latest run published; for a task that left
    none (`do_xcom_push=False`), from the ledger.

    Raises:
        ConfigurationError: there are none.
        LedgerMismatch: they were published with another ledger, where nobody would hear of them.
    """
    if sensor.batch:
        return _told(sensor.batch, ledger)
    tasks = _publishing(sensor)
    found: Batches = {}
    for task in tasks:
        found |= _from_xcom(sensor, context, task, ledger) or _from_ledger(sensor, context, task, ledger)
    if not found:
        names = ", ".join(task.task_id for task in tasks) or "none"
        raise ConfigurationError(
            f"no upstream task has published to queue {sensor.queue_name!r} in this run (upstream publishing tasks: "
            f"{names}): put one upstream of {sensor.task_id!r}, or name its batch with batch="
        )
    return found


def _told(batch: object, ledger: Ledger) -> Batches:
    """`batch=`: an id, what a publishing task left in XCom, or several of either."""
    if isinstance(batch, str):
        return {batch.partition("/")[0]: None}
    if isinstance(batch, Mapping):
        return _published(batch, ledger)
    if isinstance(batch, Iterable):
        return {name: count for one in batch for name, count in _told(one, ledger).items()}
    raise ConfigurationError(f"batch= must be a batch id or several, got {type(batch).__name__}")


def _publishing(sensor: QueueSensor) -> list[Any]:
    """The publishing tasks upstream, near or far, mapped or not."""
    upstream = sensor.get_flat_relatives(upstream=True)
    return sorted(
        (task for task in upstream if issubclass(_class_of(task), PublishToQueueOperator)),
        key=lambda t: t.task_id,
    )


def _class_of(task: Any) -> type:
    found = getattr(task, "operator_class", None)
    return found if isinstance(found, type) else type(task)


def _from_xcom(sensor: QueueSensor, context: Context, task: Any, ledger: Ledger) -> Batches:
    pulled = context["ti"].xcom_pull(task_ids=task.task_id, **_same_index(sensor, context, task))
    values = pulled if isinstance(pulled, (list, tuple)) else [pulled]
    found: Batches = {}
    for value in values:
        if isinstance(value, Mapping) and value.get("queue") == sensor.queue_name:
            found |= _published(value, ledger)
    return found


def _from_ledger(sensor: QueueSensor, context: Context, task: Any, ledger: Ledger) -> Batches:
    """The newest batch of each of the task's instances."""
    ti = context["ti"]
    wanted = _same_index(sensor, context, task).get("map_indexes")
    known = ledger.batches.find(dag_id=ti.dag_id, run_id=ti.run_id, task_id=task.task_id, map_index=wanted)
    newest = {batch.info.map_index: batch for batch in known if batch.info.queue == sensor.queue_name}
    return {batch.info.id: batch.count for batch in newest.values()}


def _same_index(sensor: QueueSensor, context: Context, task: Any) -> dict[str, Any]:
    """Inside one mapped task group a sensor waits for its own index only."""
    group = sensor.get_closest_mapped_task_group()
    if group is None or task.get_closest_mapped_task_group() is not group:
        return {}
    return {"map_indexes": context["ti"].map_index}


def _published(value: Mapping[str, Any], ledger: Ledger) -> Batches:
    if not value.get("batch_id"):
        raise ConfigurationError(f"batch= holds no batch_id: {sorted(value)}")
    if value.get("ledger") != ledger.id:
        raise LedgerMismatch(
            f"batch {value['batch_id']} was published with {_name(value.get('ledger'))}, but this sensor reads ledger "
            f"{ledger.id}: give publishing task, sensor and consumers the same one"
        )
    return {str(value["batch_id"]): value.get("distinct")}


def _name(ledger_id: object) -> str:
    return f"ledger {ledger_id}" if ledger_id else "no ledger"
