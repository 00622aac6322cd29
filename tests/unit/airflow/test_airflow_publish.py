# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`PublishToQueueOperator`: which messages a task publishes, under which ids, and how it fails."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tickrelay_airflow.hook import QueueHook
from tickrelay_airflow.publish import Item, PublishToQueueOperator
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import (
    BrokerUnavailable,
    ConfigurationError,
    InvalidMessage,
    MessageTooLarge,
    TickrelayError,
    UnknownQueue,
)
from tickrelay_messaging.message import Message


def operator(**arguments) -> PublishToQueueOperator:
    return PublishToQueueOperator(**{"task_id": "publish", "queue": "orders", **arguments})


def rows(*ids):
    return lambda: ({"order_id": number} for number in ids)


class TestMessages:
    def test_data_is_one_payload_even_if_it_is_a_list(self, hook, context, received):
        """A value is one message, whatever its type."""
        operator(data=[1, 2, 3]).execute(context())

        assert [[1, 2, 3]] == [message.data for message in received("orders")]

    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            (lambda: (n for n in (1, 2)), [1, 2]),
            (lambda: [1, 2], [1, 2]),
            (lambda: {"a": 1}, [{"a": 1}]),
            (lambda: "text", ["text"]),
            (lambda: None, []),
            (list, []),
            (lambda: iter([None]), [None]),
        ],
    )
    def test_what_a_function_returns(self, hook, context, received, function, expected):
        """Elements of lists and generators are a message each, None is none, anything else is one."""
        hook.broker.declare(QueueSpec("orders"))

        operator(data=function).execute(context())

        assert expected == [message.data for message in received("orders")]

    def test_a_function_may_ask_for_context_variables(self, hook, context, received):
        """A function gets the context variables it names as arguments."""
        operator(data=lambda run_id: {"run": run_id}).execute(context(run_id="r9"))

        assert {"run": "r9"} == received("orders")[0].data

    def test_a_function_is_no_template(self, hook, context, received):
        """Rendering leaves a function alone; Airflow would call it with arguments of its own."""
        task = operator(data=lambda: ["{{ run_id }}"])
        task.render_template_fields(context())
        task.execute(context())

        assert ["{{ run_id }}"] == [message.data for message in received("orders")]

    def test_attributes(self, hook, context, received):
        """Type, key, headers and instants arrive; an item's own win over the operator's."""
        at = datetime(2030, 1, 1, tzinfo=UTC)
        items = [Item(data={"k": "a"}, headers={"b": "2"}, type="t2", deliver_at=at), {"k": 7}]
        operator(
            data=lambda: items, key="k", type="t1", headers={"a": "1"}, deliver_at="2029-01-01T00:00:00+00:00",
            expires=timedelta(days=1),
        ).execute(context())  # fmt: skip
        first, second = received("orders")

        assert ("t2", "a", {"a": "1", "b": "2"}, at) == (
            first.type,
            first.key,
            first.headers,
            first.deliver_at,
        )
        assert ("t1", "7", {"a": "1"}) == (second.type, second.key, second.headers)
        assert datetime(2029, 1, 1, tzinfo=UTC) == second.deliver_at
        assert timedelta(days=1) == second.expires - second.time

    def test_extensions_say_where_a_message_comes_from(self, hook, context, received):
        """Every message names its task instance, batch, ledger, trace and digest."""
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        result = operator(data=1).execute(context(map_index=4, context_carrier={"traceparent": trace}))
        extensions = received("orders")[0].extensions

        expected = {
            "dagid": "shop",
            "runid": "run-1",
            "taskid": "publish",
            "mapindex": "4",
            "traceparent": trace,
        }
        expected |= {"batchid": f"{result['batch_id']}/1", "ledgerid": hook.ledger.id}
        assert expected == {name: extensions[name] for name in expected}
        assert {"digest"} == extensions.keys() - expected.keys()

    def test_templates(self, hook, context, received):
        """
        Queue, data, headers and instants are rendered; there is no logical date in a manual run, and none is
        needed.
        """
        task = operator(
            queue="q-{{ run_id }}",
            data={"run": "{{ run_id }}"},
            headers={"h": "{{ run_id }}"},
            type="t.{{ run_id }}",
        )
        task.render_template_fields(context())
        task.execute(context())
        message = received("q-run-1")[0]

        assert ({"run": "run-1"}, {"h": "run-1"}, "t.run-1") == (message.data, message.headers, message.type)


class TestIds:
    def ids(self, received):
        found = [message.id for message in received("orders")]
        return found[: len(found) // 2], found[len(found) // 2 :]

    @pytest.mark.parametrize("name", [None, "order_id", lambda row: f"o{row['order_id']}"])
    def test_the_same_at_every_try(self, hook, context, received, name):
        """A retry and a clear publish the same ids, in whatever order the rows come."""
        operator(data=rows(1, 2, 3), id=name).execute(context(try_number=1))
        operator(data=rows(3, 1, 2), id=name).execute(context(try_number=5, max_tries=7))
        first, second = self.ids(received)

        assert set(first) == set(second)
        assert 3 == len(set(first))

    @pytest.mark.parametrize(
        "other", [{"run_id": "run-2"}, {"task_id": "x"}, {"dag_id": "x"}, {"map_index": 0}]
    )
    def test_different_in_every_task_instance(self, hook, context, received, other):
        """Two runs, tasks, DAGs or map indexes never share an id."""
        operator(data=rows(1, 2), id="order_id").execute(context())
        operator(data=rows(1, 2), id="order_id").execute(context(**other))
        first, second = self.ids(received)

        assert not set(first) & set(second)

    def test_equal_payloads_are_different_messages(self, hook, context, received):
        """Without `id`, the third equal payload is the third message, at every try."""
        operator(data=lambda: ["x", "x", "x"]).execute(context())
        operator(data=lambda: ["x", "x", "x"]).execute(context())
        first, second = self.ids(received)

        assert first == second
        assert 3 == len(set(first))

    def test_deployments_don_t_share_ids(self, hook, context, received, urls, connection):
        """The same DAG in two deployments publishes different messages."""
        connection({**urls, "deployment": "blue"}, "blue")
        operator(data=1).execute(context())
        operator(data=1, conn_id="blue").execute(context())

        assert 2 == len({message.id for message in received("orders")})

    def test_republish_gives_new_ids_after_a_clear_but_not_at_a_retry(self, hook, context, received):
        """`republish`: only a clear, which raises `max_tries` beyond `retries`, makes new messages."""
        task = operator(data=1, republish=True, retries=2)
        for tries in (
            {"max_tries": 2, "try_number": 1},
            {"max_tries": 2, "try_number": 2},
            {"max_tries": 4, "try_number": 3},
        ):
            task.execute(context(**tries))
        first, retried, cleared = received("orders")

        assert first.id == retried.id != cleared.id
        assert "2" == cleared.extensions["generation"]


class TestBatch:
    def test_closed_with_its_distinct_count(self, hook, context):
        """Naming one item twice publishes it twice and counts it once."""
        result = operator(data=rows(1, 2, 2), id="order_id").execute(context())
        (batch,) = hook.ledger.batches.find(dag_id="shop", run_id="run-1")

        assert (3, 2, 0) == (result["published"], result["distinct"], result["already_done"])
        assert (result["batch_id"], 2, 1) == (batch.info.id, batch.count, batch.ordinal)

    def test_a_retry_says_what_was_done_already(self, hook, context, carry_out):
        """The second run of a batch asks the ledger what is done and reports it."""
        operator(data=rows(1, 2), id="order_id").execute(context())
        carry_out("orders")
        result = operator(data=rows(1, 2, 3), id="order_id").execute(context(try_number=2))

        assert (3, 2) == (result["distinct"], result["already_done"])

    def test_without_a_ledger_publishing_works(self, hook, context, received, urls, connection):
        """No ledger: the messages go out all the same, and say so."""
        connection({"broker": urls["broker"]}, "bare")
        result = operator(data=1, conn_id="bare").execute(context())
        extensions = received("orders")[0].extensions

        assert result["ledger"] is None
        assert "ledgerid" not in extensions
        assert f"{result['batch_id']}/0" == extensions["batchid"]

    def test_streams(self, hook, context):
        """Payloads are read as they are sent: twenty thousand of 2 KiB need far less than their 40 MB."""
        hook.broker.declare(QueueSpec("orders"))
        seen: list[int] = []
        hook.broker.publish = lambda queue, messages, timeout=30.0: seen.append(len(messages))
        tracemalloc.start()
        result = operator(data=lambda: ({"n": n, "pad": "x" * 2048} for n in range(20_000)), id="n").execute(
            context()
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert 20_000 == result["distinct"] == sum(seen)
        assert 1_000 == max(seen)
        assert peak < 16 << 20

    def test_outlets_carry_the_batch(self, hook, context):
        """An asset event says which batch made it."""
        from airflow.sdk import Asset

        asset = Asset("orders")
        given = context()
        given["outlet_events"] = {asset: SimpleNamespace(extra={})}
        result = operator(data=1, outlets=[asset]).execute(given)

        assert result == given["outlet_events"][asset].extra["tickrelay"]


class TestQueue:
    def test_a_missing_queue_is_declared(self, hook, context):
        """By default the queue is made with its default group."""
        operator(data=1).execute(context())

        assert [QueueSpec("orders", ("default",))] == hook.broker.queues()

    def test_an_existing_queue_keeps_its_groups(self, hook, context):
        """Publishing adds no group that nobody consumes."""
        hook.broker.declare(QueueSpec("orders", ("billing", "mail")))
        operator(data=1).execute(context())

        assert [("billing", "mail")] == [spec.groups for spec in hook.broker.queues()]

    def test_queue_isn_t_the_executor_s(self, context):
        """`queue=` names messages, and the task still runs where the executor's queue says; mapped too."""
        from airflow.sdk import DAG

        with DAG("d", schedule=None, default_args={"queue": "celery"}):
            plain = operator(data=1)
            mapped = PublishToQueueOperator.partial(task_id="m", queue="orders").expand(data=[1, 2])
            chosen = operator(task_id="c", executor_queue="big")

        assert ("orders", "celery") == (plain.queue_name, plain.queue)
        assert ("orders", "celery") == (mapped.partial_kwargs["queue_name"], mapped.queue)
        assert ("orders", "big") == (chosen.queue_name, chosen.queue)

    def test_decorated_tasks_too(self):
        """`@task.publish(queue=...)` names messages, mapped or not."""
        from airflow.sdk import DAG, task

        with DAG("d", schedule=None):
            function = task.publish(queue="orders")(lambda n: n).override(task_id="f")
            plain, mapped = function(1).operator, function.override(task_id="m").expand(n=[1, 2]).operator
        unmapped = mapped.unmap({"op_kwargs": {"n": 1}})

        assert ("orders", "default") == (plain.queue_name, plain.queue)
        assert ("orders", "default", "default") == (unmapped.queue_name, unmapped.queue, mapped.queue)

    def test_a_queue_is_needed(self):
        """Forgetting the queue is an error when the DAG is parsed."""
        with pytest.raises(ConfigurationError, match="queue= is missing"):
            PublishToQueueOperator(task_id="p", data=1)


class TestErrors:
    def fails(self, expected, match, context, **arguments):
        with pytest.raises(expected, match=match):
            operator(**arguments).execute(context())

    def test_broker_down(self, hook, context, urls, connection):
        """An unreachable broker fails the task and names the broker."""
        connection({**urls, "broker": "sqlite:////proc/nowhere/queue.db"}, "down")
        self.fails(BrokerUnavailable, "nowhere", context, data=1, conn_id="down")

    def test_unknown_queue(self, hook, context):
        """With `declare=False` a missing queue is an error that says what to do."""
        self.fails(UnknownQueue, "'orders' doesn't exist.*declare", context, data=1, declare=False)

    def test_not_a_number(self, hook, context):
        """NaN is no JSON; the text says which payload holds it."""
        self.fails(InvalidMessage, "payload 1 .*JSON", context, data=lambda: [1.0, float("nan")])

    def test_too_large(self, hook, context):
        """A body over the limit is refused."""
        self.fails(MessageTooLarge, "over the limit", context, data="x" * (1 << 20))

    def test_missing_field(self, hook, context):
        """`id` names a field that must be there; payloads stay out of the text."""
        with pytest.raises(InvalidMessage, match=r"id='order_id' names a field.*fields secret") as caught:
            operator(data={"secret": "hunter2"}, id="order_id").execute(context())

        assert "hunter2" not in str(caught.value)

    def test_naive_instant(self, hook, context):
        """An instant without its offset is refused, not guessed."""
        self.fails(InvalidMessage, "offset from UTC", context, data=1, deliver_at="2026-01-01T00:00:00")

    def test_asynchronous_function(self, hook, context):
        """A coroutine isn't awaited silently, nor published as nothing."""

        async def payloads():
            yield 1

        self.fails(InvalidMessage, "asynchronous", context, data=payloads)

    def test_no_connection(self, context):
        """A connection that isn't there: the text shows how to define it."""
        self.fails(ConfigurationError, "AIRFLOW_CONN_NOWHERE", context, data=1, conn_id="nowhere")

    def test_connection_without_a_broker(self, context, connection):
        """A connection that names no broker says which field is empty."""
        connection({"ledger": "sqlite:////tmp/x.db"}, "empty")
        self.fails(ConfigurationError, "Broker URL", context, data=1, conn_id="empty")

    def test_a_function_that_fails_leaves_the_batch_open(self, hook, context):
        """What was sent before stays sent; the batch isn't closed, so nobody takes it for complete."""

        def payloads():
            yield 1
            raise OSError("the database went away")

        self.fails(OSError, "went away", context, data=payloads)
        (batch,) = hook.ledger.batches.find(dag_id="shop", run_id="run-1")

        assert (None, None) == (batch.closed_at, batch.count)

    def test_killed(self, hook, context):
        """After `on_kill` nothing more is published and the task fails."""
        task = operator(data=rows(1))
        task.on_kill()

        with pytest.raises(Exception, match="killed"):
            task.execute(context())


class TestHook:
    def test_publish(self, hook, received):
        """Any task may publish messages of its own."""
        hook.broker.declare(QueueSpec("orders"))
        QueueHook().publish("orders", [Message.of(1, id="a")])

        assert ["a"] == [message.id for message in received("orders")]

    def test_opened_once(self, hook):
        """Two hooks of one connection share broker and ledger."""
        assert hook.broker is QueueHook().broker
        assert hook.ledger is QueueHook().ledger

    def test_test_connection(self, hook, connection):
        """The button Test says what answers, and what doesn't."""
        connection({"broker": "sqlite:////proc/nowhere/queue.db"}, "down")

        assert (True, "broker answers (sqlite:///") == (
            hook.test_connection()[0],
            hook.test_connection()[1][:26],
        )
        works, text = QueueHook("down").test_connection()
        assert not works
        assert "BrokerUnavailable" in text

    def test_ledger_needed(self, hook, urls, connection):
        """What needs a ledger says so, and where to put it."""
        connection({"broker": urls["broker"]}, "bare")

        with pytest.raises(TickrelayError, match=r"sensor needs a ledger.*'bare'"):
            QueueHook("bare").require_ledger("sensor")
