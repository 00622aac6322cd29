# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`PublishToQueueOperator`: a task that puts messages on a queue, the same ones however often it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException
from opentelemetry import propagate

from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID
from tickrelay_airflow.hook import QueueHook
from tickrelay_airflow.links import MessagesLink
from tickrelay_airflow.naming import MessageQueueOperator, sort_out
from tickrelay_airflow.publishing.payloads import Composer, Defaults, Instant, Item, Name, items_of
from tickrelay_airflow.publishing.publication import Publication
from tickrelay_messaging.ids import TaskIdentity
from tickrelay_messaging.ledger.records import BatchInfo
from tickrelay_messaging.message import DEFAULT_TYPE

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["Item", "PublishToQueueOperator"]


class PublishToQueueOperator(MessageQueueOperator):
    """
    Put messages on a queue; done when the broker has confirmed them all.

    The ids are the same at every try and after a clear, so nothing is carried out twice: consumers drop what
    they know.

    Args:
        queue: the queue of messages (templated). The executor's queue is `executor_queue`.
        data: the payload (templated): one message, also where it is a list. Or a function: what it yields, or
            each element of the list it returns, is a message; it may name context variables (`run_id`,
            `ti`...) as arguments. Payloads are streamed, a thousand at a time, and never go through XCom.
        id: names a payload within the task, so that its id doesn't hang on what else is in it: a field's
            name, or a function of the payload. By default the payload's digest and its occurrence in the
            task.
        key: messages of one key belong together: a field's name, or a function of the payload.
        headers: text headers for every message (templated).
        type: CloudEvents type of the messages (templated).
        deliver_at: not before then (templated): an aware datetime, its ISO text, or a timedelta from now.
        expires: of no use after then (templated): the same.
        conn_id: the Airflow connection with broker and ledger.
        republish: a cleared task publishes messages with new ids, to be carried out again (templated);
            retries of the new run keep them. By default a cleared task publishes the same ids as before.
        declare: make the queue, with its default group, if it doesn't exist.

    Returns:
        XCom with `batch_id`, `queue`, `published`, `distinct`, `already_done` and `ledger`.
    """

    template_fields: Sequence[str] = (
        "queue_name",
        "data",
        "headers",
        "message_type",
        "deliver_at",
        "expires",
        "republish",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"data": "json", "headers": "json"}
    operator_extra_links = (MessagesLink(),)
    ui_color = "#e8e4f8"

    def __init__(  # noqa: PLR0913 - an operator is its keywords
        self,
        *,
        queue: str | None = None,
        queue_name: str | None = None,
        data: Any = None,
        id: Name = None,  # noqa: A002 - CloudEvents' word
        key: Name = None,
        headers: Mapping[str, str] | None = None,
        type: str = DEFAULT_TYPE,  # noqa: A002 - CloudEvents' word
        deliver_at: Instant = None,
        expires: Instant = None,
        conn_id: str = DEFAULT_CONN_ID,
        republish: bool | str = False,
        declare: bool = True,
        **kwargs: Any,
    ) -> None:
        self.queue_name = sort_out(kwargs, queue, queue_name)
        super().__init__(**kwargs)
        # Airflow would call a function it finds in a template field, and publish nothing of it.
        self.payloads: Callable[..., object] | None = data if callable(data) else None
        self.data = None if callable(data) else data
        self.id_of = id
        self.key_of = key
        self.headers = headers
        self.message_type = type
        self.deliver_at = deliver_at
        self.expires = expires
        self.conn_id = conn_id
        self.republish = republish
        self.declare = declare
        self._killed = False

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Publish.

        Raises:
            TickrelayError: nothing, or not all, was confirmed; running the task again completes it.
        """
        hook = QueueHook(self.conn_id)
        identity = self._identity(context, hook.deployment)
        publication = Publication(hook, _batch(identity, self.queue_name), declare=self.declare)
        publication.open()
        composer = Composer(identity, self._defaults(), _extensions(context, identity, publication))
        published = publication.publish(composer.messages(self._items(context)), self._proceed)
        self._tell(publication)
        result = published.as_dict()
        _annotate_outlets(self.outlets, context, result)
        return result

    def on_kill(self) -> None:
        """Stop before the next chunk; the chunk under way ends at its own deadline."""
        self._killed = True

    def _proceed(self) -> None:
        if self._killed:
            raise AirflowException(
                "the task was killed: not everything is published; running it again completes it"
            )

    def _items(self, context: Context) -> Iterator[Item]:
        if self.payloads is not None:
            return items_of(self.payloads(**_wanted(self.payloads, context)))
        return iter([Item(data=self.data)])

    def _defaults(self) -> Defaults:
        return Defaults(
            id=self.id_of,
            key=self.key_of,
            type=self.message_type,
            headers=self.headers or {},
            deliver_at=self.deliver_at,
            expires=self.expires,
        )

    def _identity(self, context: Context, deployment: str) -> TaskIdentity:
        ti = context["ti"]
        return TaskIdentity(
            deployment=deployment,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            generation=self._generation(ti) if _is_true(self.republish) else 0,
        )

    def _generation(self, ti: Any) -> int:
        """0, or the try after which the task was last cleared: a clear raises `max_tries`, a retry doesn't."""
        return max(0, int(ti.max_tries) - int(self.retries or 0))

    def _tell(self, publication: Publication) -> None:
        result = publication.result
        self.log.info(
            "Published %d messages (%d distinct) to queue %s, batch %s",
            result.published, result.distinct, result.queue, result.batch_id,
        )  # fmt: skip
        if publication.ordinal > 1:
            self.log.info(
                "This is run %d of the batch: %d already done", publication.ordinal, result.already_done
            )


def _batch(identity: TaskIdentity, queue: str) -> BatchInfo:
    return BatchInfo(
        id=identity.batch,
        queue=queue,
        dag_id=identity.dag_id,
        run_id=identity.run_id,
        task_id=identity.task_id,
        map_index=identity.map_index,
    )


def _extensions(context: Context, identity: TaskIdentity, publication: Publication) -> dict[str, str]:
    """What every message says about where it comes from; names and meaning as in docs/reference."""
    extensions = {
        "dagid": identity.dag_id,
        "runid": identity.run_id,
        "taskid": identity.task_id,
        "mapindex": str(identity.map_index),
        "batchid": f"{identity.batch}/{publication.ordinal}",
        "ledgerid": publication.result.ledger,
        "traceparent": _traceparent(context),
        "generation": str(identity.generation) if identity.generation else None,
    }
    return {name: value for name, value in extensions.items() if value is not None}


def _traceparent(context: Context) -> str | None:
    """The running span, or else the one Airflow gave the task; None where there is neither."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    given = getattr(context["ti"], "context_carrier", None) or {}
    return carrier.get("traceparent") or given.get("traceparent")


def _wanted(function: Callable[..., object], context: Context) -> dict[str, Any]:
    """The context variables that a function names as arguments, or all of them for `**kwargs`."""
    parameters: Collection[inspect.Parameter] = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(context)
    return {parameter.name: context[parameter.name] for parameter in parameters if parameter.name in context}  # type: ignore[literal-required]


def _is_true(value: bool | str) -> bool:
    """A flag that may have come out of a template as text."""
    return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1", "yes")


def _annotate_outlets(outlets: list[Any], context: Context, result: dict[str, Any]) -> None:
    """Batch and counts into the asset events, so that whoever is scheduled on the asset finds the messages."""
    for asset in outlets:
        if isinstance(asset, Asset):
            context["outlet_events"][asset].extra["tickrelay"] = result
