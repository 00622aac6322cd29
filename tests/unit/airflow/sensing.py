# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Sensors in the hands of a test: made, deferred, run in the triggerer, and gone on with."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.sdk.exceptions import TaskDeferred

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.sensor import QueueSensor
from tickrelay_airflow.triggers.queue import QueueTrigger

DEADLINE = 20.0
"""Seconds after which a test that waits has failed."""


def sensor(**arguments) -> QueueSensor:
    return QueueSensor(**{"task_id": "wait", "queue": "orders", "timeout": 60, **arguments})


def publish(context, *payloads, **arguments) -> dict:
    task = PublishToQueueOperator(task_id="publish", queue="orders", data=lambda: list(payloads), **arguments)
    return task.execute(context())


def deferral(task, context) -> QueueTrigger:
    """The trigger a task defers to, made anew from what Airflow would have stored."""
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    path, kwargs = deferred.value.trigger.serialize()
    assert "tickrelay_airflow.triggers.queue.QueueTrigger" == path
    return QueueTrigger(**json.loads(json.dumps(kwargs)))


async def fired(trigger) -> dict:
    async with asyncio.timeout(DEADLINE):
        return (await anext(trigger.run())).payload


def complete(task, context, trigger, meanwhile=None):
    """Run a trigger to its event, do something once it waits, and let the task go on."""

    async def wait():
        event = asyncio.create_task(fired(trigger))
        await asyncio.sleep(0)
        if meanwhile:
            await asyncio.to_thread(meanwhile)
        return await event

    return task.execute_complete(context, asyncio.run(wait()))
