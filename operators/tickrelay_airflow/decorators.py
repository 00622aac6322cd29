# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`@task.publish`: a function whose payloads go on a queue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.decorator import DecoratedOperator, is_async_callable, task_decorator_factory

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.publishing.payloads import Item, items_of
from tickrelay_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator


class PublishDecoratedOperator(DecoratedOperator, PublishToQueueOperator):
    """A `PublishToQueueOperator` whose `data` is the decorated function with the arguments it was called with."""

    custom_operator_name = "@task.publish"
    template_fields = (
        "op_args",
        "op_kwargs",
        *(name for name in PublishToQueueOperator.template_fields if name != "data"),
    )
    template_fields_renderers = {"op_args": "py", "op_kwargs": "py", "headers": "json"}  # noqa: RUF012 - Airflow's shape

    def __init__(
        self,
        *,
        python_callable: Callable[..., object],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if is_async_callable(python_callable):
            raise ConfigurationError(
                f"@task.publish: {python_callable.__name__} must be a `def`, not an `async def`"
            )
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs)

    def _items(self, context: Context) -> Iterator[Item]:
        given = {**self.determine_kwargs(context), **self.op_kwargs}
        return items_of(self.python_callable(*self.op_args, **given))


def publish_task(
    python_callable: Callable[..., object] | None = None, *, queue: str | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Turn a function into a task that publishes what it returns or yields.

    Args:
        queue: the queue of messages.
        **kwargs: as for `PublishToQueueOperator`, without `data`.

    Raises:
        ConfigurationError: no queue is named, or the function is asynchronous.
    """
    if not queue:
        raise ConfigurationError('@task.publish needs a queue: @task.publish(queue="orders")')
    # Mapped, a keyword `queue` would become the executor's queue.
    kwargs["queue_name"] = queue
    if "executor_queue" in kwargs:
        kwargs["queue"] = kwargs.pop("executor_queue")
    # What the task returns is the batch, whatever the function's annotation says.
    kwargs["multiple_outputs"] = False
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=PublishDecoratedOperator, **kwargs
    )
