# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`PublishToQueueOperator`: a task that puts messages on a queue, the same ones however often it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.definitions.xcom_arg import XComArg
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID
from tickrelay_airflow.cron.windows import Span
from tickrelay_airflow.hook import QueueHook
from tickrelay_airflow.links import MessagesLink
from tickrelay_airflow.naming import MessageQueueOperator, sort_out
from tickrelay_airflow.publishing.desk import Desk
from tickrelay_airflow.publishing.payloads import Composer, Defaults, Instant, Item, Name, items_of
from tickrelay_airflow.publishing.policies import ON_TIME, Misfire, Overlap, Policies
from tickrelay_airflow.publishing.publication import Publication
from tickrelay_airflow.publishing.runs import ScheduledRun, Tick, require_schedule, run_of
from tickrelay_airflow.publishing.telling import annotate_outlets, batch_of, extensions_of, why_nothing
from tickrelay_airflow.publishing.ticking import Ticking
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ids import TaskIdentity
from tickrelay_messaging.ledger.schedules import TickOutcome
from tickrelay_messaging.message import DEFAULT_TYPE, Message

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["Item", "PublishToQueueOperator"]

Source = Callable[[dict[str, str]], Iterator[Message]]
"""From the extensions that every message carries the messages themselves."""


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
        key: messages of one key belong together: a field's name, or a function of the payload. With `ticks` also
            a template of the key itself.
        headers: text headers for every message (templated).
        type: CloudEvents type of the messages (templated).
        deliver_at: not before then (templated): an aware datetime, its ISO text, or a timedelta from now.
        expires: of no use after then (templated): the same. With `ticks` a timedelta counts from the tick.
        conn_id: the Airflow connection with broker and ledger.
        republish: a cleared task publishes messages with new ids, to be carried out again (templated);
            retries of the new run keep them. By default a cleared task publishes the same ids as before.
        declare: make the queue, with its default group, if it doesn't exist.
        ticks: publish for each tick of the run (a `CronSchedule` with `window`) what `data` makes of it, to be
            delivered at the tick. data, headers and key are rendered once per tick, with `tick` (UTC) and `tick_local`
            in the context; ids are made of the tick instead of the run.
        misfire: what becomes of ticks that are late by more than `misfire_threshold` when the task gets to them: "all"
            are published, only the "latest" that is due, or "none". Backfills, cleared runs and runs by hand are late
            on purpose.
        misfire_threshold: seconds, a timedelta, or text such as "90s".
        overlap: what becomes of a run's tick while an earlier run is still at work: "all" are published, "skip" leaves
            it out, "queue" is Airflow's own `max_active_runs=1`, which the DAG must have.

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
        ticks: bool = False,
        misfire: Misfire = "all",
        misfire_threshold: Span = ON_TIME,
        overlap: Overlap = "all",
        **kwargs: Any,
    ) -> None:
        self.queue_name = sort_out(kwargs, queue, queue_name)
        super().__init__(**kwargs)
        # Airflow would call a function it finds in a template field, and publish nothing of it.
        self.payloads: Callable[..., object] | None = data if callable(data) else None
        # What is rendered once per tick is kept from Airflow, which renders before there is any.
        self.data = None if ticks or callable(data) else data
        self.headers = None if ticks else headers
        self.of_tick = {"data": data, "headers": headers} if ticks else {}
        self.id_of = id
        self.key_of = key
        self.message_type = type
        self.deliver_at = deliver_at
        self.expires = expires
        self.conn_id = conn_id
        self.republish = republish
        self.declare = declare
        self.ticks = ticks
        self.policies = Policies.of(misfire, misfire_threshold, overlap)
        self._killed = False
        self._check(self.get_dag())
        XComArg.apply_upstream_relationship(self, self.of_tick)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Publish.

        Raises:
            AirflowSkipException: the policies, or somebody, left nothing to publish.
            TickrelayError: nothing, or not all, was confirmed; running the task again completes it.
        """
        hook = QueueHook(self.conn_id)
        identity = self._identity(context, hook.deployment)
        dag, is_cleared = self.get_dag(), self._generation(context["ti"]) > 0
        run = run_of(context, dag, hook.deployment, ticks=self.ticks, is_cleared=is_cleared)
        if run is None:
            self._check(dag, has_run=True)
            return self._publish(context, hook, lambda said: self._messages(context, identity, said))
        return self._publish_run(context, hook, run)

    def on_kill(self) -> None:
        """Stop before the next chunk; the chunk under way ends at its own deadline."""
        self._killed = True

    def _publish_run(self, context: Context, hook: QueueHook, run: ScheduledRun) -> dict[str, Any]:
        """What the policies leave of a run of a `CronSchedule`."""
        desk = Desk(run, hook.ledger, self.policies, lambda: _earlier_run(context))
        verdicts = desk.decide()
        fired = [one for one in verdicts if one.outcome is TickOutcome.FIRED]
        if not fired:
            raise AirflowSkipException(why_nothing(verdicts))
        ticks = [one.tick for one in fired]
        identity = self._identity(context, hook.deployment)

        def messages(said: dict[str, str]) -> Iterator[Message]:
            # A message's generation is its schedule's; how often its task was cleared is in its id.
            said = {name: text for name, text in said.items() if name != "generation"} | desk.extensions
            if self.ticks:
                return Ticking(run, identity, said).messages(ticks, context, self._compose)
            if not desk.extensions:
                return self._messages(context, identity, said)
            return self._messages(context, identity, said, ticks[0])

        result = self._publish(context, hook, messages)
        desk.fired(fired)
        return result

    def _publish(self, context: Context, hook: QueueHook, source: Source) -> dict[str, Any]:
        identity = self._identity(context, hook.deployment)
        publication = Publication(hook, batch_of(identity, self.queue_name), declare=self.declare)
        publication.open()
        messages = source(extensions_of(context, identity, publication))
        published = publication.publish(messages, self._proceed)
        self._tell(publication)
        result = published.as_dict()
        annotate_outlets(self.outlets, context, result)
        return result

    def _proceed(self) -> None:
        if self._killed:
            raise AirflowException(
                "the task was killed: not everything is published; running it again completes it"
            )

    def _messages(
        self,
        context: Context,
        identity: TaskIdentity,
        extensions: Mapping[str, str],
        tick: Tick | None = None,
    ) -> Iterator[Message]:
        """The messages of a run that is one piece of work, due at its tick unless they are told to wait."""
        defaults = self._defaults()
        if tick is not None:
            defaults = replace(defaults, deliver_at=defaults.deliver_at or tick.due, tick=tick.at)
        return Composer(identity, defaults, extensions).messages(self._items(context))

    def _compose(self, context: Context) -> tuple[Iterator[Item], Defaults]:
        """A tick's payloads, and what holds for them; the context is the tick's."""
        headers = self.render_template(self.of_tick["headers"], context)
        defaults = replace(self._defaults(), headers=headers or {})
        if isinstance(self.key_of, str) and "{" in self.key_of:
            key = self.render_template(self.key_of, context)
            defaults = replace(defaults, key=lambda _: key)
        return self._items(context), defaults

    def _items(self, context: Context) -> Iterator[Item]:
        if self.payloads is not None:
            return items_of(self.payloads(**_wanted(self.payloads, context)))
        data = self.render_template(self.of_tick["data"], context) if self.ticks else self.data
        return iter([Item(data=data)])

    def _defaults(self) -> Defaults:
        return Defaults(
            id=self.id_of,
            key=self.key_of,
            type=self.message_type,
            headers=self.headers or {},
            deliver_at=self.deliver_at,
            expires=self.expires,
        )

    def _check(self, dag: Any, *, has_run: bool = False) -> None:
        """
        Refuse what can't be kept, where the DAG is parsed if the DAG is known there.

        Raises:
            ConfigurationError: see `Policies.check`, and for ticks.
        """
        if self.ticks and self.deliver_at is not None:
            raise ConfigurationError(
                "with ticks=True messages are delivered at their ticks; leave deliver_at= out"
            )
        if dag is None and not has_run:
            return
        if self.ticks:
            require_schedule(dag, "ticks=True")
        self.policies.check(dag, ticks=self.ticks)

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


def _earlier_run(context: Context) -> str:
    """The id of an earlier run of the DAG that is still at work, or nothing."""
    found = context["ti"].get_previous_dagrun(state="running")
    return found.run_id if found is not None else ""


def _wanted(function: Callable[..., object], context: Context) -> dict[str, Any]:
    """The context variables that a function names as arguments, or all of them for `**kwargs`."""
    parameters: Collection[inspect.Parameter] = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(context)
    return {parameter.name: context[parameter.name] for parameter in parameters if parameter.name in context}  # type: ignore[literal-required]


def _is_true(value: bool | str) -> bool:
    """A flag that may have come out of a template as text."""
    return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1", "yes")
