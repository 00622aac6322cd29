# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
`queue=` on our operators.

Airflow's own operators have an argument of that name already: which workers run the task (Celery's queue).
Ours means the message queue, since that is what everybody looks for; the executor's is `executor_queue=`. The
message queue is kept as `queue_name`, so that Airflow finds in `queue` what it has always found there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import partial as make_partial
from airflow.sdk.configuration import conf

from tickrelay_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import OperatorPartial


def sort_out(kwargs: dict[str, Any], queue: str | None, queue_name: str | None) -> str:
    """
    Leave the executor's queue in `kwargs` and return the message queue.

    With `queue_name`, which is what mapping sets, `queue` is the executor's.

    Raises:
        ConfigurationError: no message queue is named.
    """
    executor_queue = kwargs.pop("executor_queue", queue if queue_name is not None else None)
    if executor_queue is not None:
        kwargs["queue"] = executor_queue
    found = queue_name if queue_name is not None else queue
    if not found:
        raise ConfigurationError("queue= is missing: name the queue of messages")
    return found


class MessageQueueOperator(BaseOperator):
    """An operator whose `queue=` is a queue of messages, mapped or not."""

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """As on any operator, with `queue=` as the queue of messages."""
        if "queue" in kwargs:
            kwargs["queue_name"] = kwargs.pop("queue")
        if "executor_queue" in kwargs:
            kwargs["queue"] = kwargs.pop("executor_queue")
        made = make_partial(cls, **kwargs)
        if made.kwargs.get("queue") is None:
            # Airflow has found the default of our own `queue=` in its place.
            made.kwargs["queue"] = conf.get("operators", "default_queue", fallback="default")
        return made
