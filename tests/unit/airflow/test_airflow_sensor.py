# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`QueueSensor`: what it waits for in a queue, what it returns, and how it ends."""

from __future__ import annotations

import threading

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from tests.unit.airflow.sensing import complete, deferral, publish, sensor

from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.sensor import QueueSensor
from tickrelay_airflow.triggers.queue import QueueTrigger
from tickrelay_airflow.waiting.conditions import Drained
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import ConfigurationError, LedgerMismatch, TickrelayError, UnknownQueue
from tickrelay_messaging.ledger.records import DeadFilter, Verdict

pytestmark = pytest.mark.usefixtures("own_hubs")


class TestSettled:
    def test_waits_until_the_batch_is_done(self, hook, context, carry_out):
        """It defers, and goes on with the counts by handler as soon as the last message is done."""
        batch = publish(context, 1, 2)
        task, own = sensor(until="settled", batch=batch), context(task_id="wait")
        result = complete(task, own, deferral(task, own), lambda: carry_out("orders"))

        nothing_else = {"dead": 0, "discarded": 0, "expired": 0, "revoked": 0, "skipped": 0}
        assert {"messages": 2, "done": 2, **nothing_else} == result["handlers"]["sync"]

    def test_an_empty_batch_is_settled_at_once(self, hook, context):
        """Nothing published, nothing to wait for: also where no consumer was ever seen."""
        hook.broker.declare(QueueSpec("orders"))
        task = sensor(until="settled", batch=publish(context))

        assert {} == task.execute(context())["handlers"]

    def test_keeps_waiting_while_no_consumer_was_seen(self, hook, context):
        """Messages that nobody has looked at aren't settled."""
        task = sensor(until="settled", batch=publish(context, 1))

        assert isinstance(deferral(task, context()), QueueTrigger)

    def test_dead_letters_fail_it(self, hook, context, carry_out):
        """Dead letters fail the task; the text has the counts and the command."""
        batch = publish(context, 1, 2)
        carry_out("orders", verdict=Verdict.DEAD)

        with pytest.raises(
            AirflowFailException, match=r"sync: 2 dead, 0 discarded, of 2.*tickrelay dead list --queue orders"
        ):
            sensor(until="settled", batch=batch).execute(context())

    def test_discarded_ones_fail_it(self, hook, context, carry_out):
        """Giving up on a message isn't carrying it out."""
        batch = publish(context, 1)
        carry_out("orders", verdict=Verdict.DEAD)
        hook.ledger.dead_letters.discard(DeadFilter(), by="test", reason="test")

        with pytest.raises(AirflowFailException, match="sync: 0 dead, 1 discarded"):
            sensor(until="settled", batch=batch).execute(context())

    def test_a_cleared_batch_settles_by_what_was_done_before(self, hook, context, carry_out):
        """Published again, everything is a duplicate; the batch settles all the same, and nothing is done twice."""
        publish(context, 1, 2)
        first = carry_out("orders")
        batch = publish(context, 1, 2, 3)
        second = carry_out("orders")

        assert (2, 1, 2) == (first, second, batch["already_done"])
        counts = sensor(until="settled", batch=batch).execute(context())["handlers"]["sync"]
        assert (3, 3) == (counts["messages"], counts["done"])

    def test_finds_upstream_batches_of_its_queue(self, hook, context, carry_out):
        """
        It waits for the publishing tasks upstream, mapped ones by XCom of each, and for no other queue's.
        """
        with DAG("shop", schedule=None) as dag:
            one = PublishToQueueOperator(task_id="one", queue="orders", data=1)
            many = PublishToQueueOperator.partial(task_id="many", queue="orders").expand(data=[1, 2])
            other = PublishToQueueOperator(task_id="other", queue="elsewhere", data=1)
            [one, many, other] >> sensor(until="settled")
        batch, mapped, foreign = (
            PublishToQueueOperator(task_id="publish", queue=queue, data=1).execute(context(**who))
            for queue, who in [
                ("orders", {}),
                ("orders", {"map_index": 1}),
                ("elsewhere", {"task_id": "other"}),
            ]
        )
        carry_out("orders")
        result = dag.get_task("wait").execute(
            context(xcom={"one": batch, "many": [mapped], "other": foreign})
        )

        assert (2, 2) == (result["batches"], result["handlers"]["sync"]["messages"])

    def test_finds_upstream_batches_without_xcom(self, hook, context, carry_out):
        """Where the publishing task left no XCom, the ledger knows its batches."""
        with DAG("shop", schedule=None) as dag:
            PublishToQueueOperator(task_id="publish", queue="orders", data=1) >> sensor(until="settled")
        publish(context, 1)
        carry_out("orders")

        assert 1 == dag.get_task("wait").execute(context())["batches"]

    def test_nothing_upstream(self, hook, context):
        """Nothing to wait for is a mistake in the DAG, not success."""
        with DAG("shop", schedule=None) as dag:
            sensor(until="settled")

        with pytest.raises(ConfigurationError, match="no upstream task has published"):
            dag.get_task("wait").execute(context())

    def test_another_ledger(self, hook, context, urls, connection):
        """A batch published with another ledger would be waited for in vain: an error instead."""
        connection({**urls, "ledger": urls["ledger"] + "2"}, "other")
        batch = publish(context, 1, conn_id="other")

        with pytest.raises(LedgerMismatch, match="same one"):
            sensor(until="settled", batch=batch).execute(context())

    def test_without_a_ledger(self, hook, context, urls, connection):
        """Without a ledger nothing can be said about messages, and the error says what is missing."""
        connection({"broker": urls["broker"]}, "bare")

        with pytest.raises(ConfigurationError, match=r"needs a ledger.*'bare'"):
            sensor(until="settled", conn_id="bare", batch="b").execute(context())


class TestDrained:
    def test_waits_until_nothing_is_left(self, hook, context, carry_out):
        """It goes on when the group has nothing ready and nothing in hand."""
        publish(context, 1)
        task = sensor(until="drained")
        result = complete(task, context(), deferral(task, context()), lambda: carry_out("orders"))

        assert {"queue": "orders", "group": "default"} == result

    def test_what_is_parked_in_the_ledger_is_left(self, hook, context, carry_out):
        """
        A message that waits in the ledger for its instant isn't done, though the broker has forgotten it.
        """
        from datetime import timedelta

        publish(context, 1, deliver_at=timedelta(hours=1))
        carry_out("orders")
        task = sensor(until="drained")

        assert 0 == hook.broker.stats("orders")[0].ready
        assert isinstance(deferral(task, context()), QueueTrigger)

    def test_works_without_a_ledger(self, hook, context, urls, connection):
        """Without a ledger the broker's word counts."""
        hook.broker.declare(QueueSpec("orders"))
        connection({"broker": urls["broker"]}, "bare")

        assert sensor(until="drained", conn_id="bare").execute(context())

    def test_unknown_queue_or_group(self, hook, context):
        """A queue or group that isn't there is an error, in the triggerer too."""
        with pytest.raises(UnknownQueue):
            sensor(until="drained").execute(context())
        hook.broker.declare(QueueSpec("orders"))
        task = sensor(until="drained", group="nobody")
        trigger = QueueTrigger(condition=Drained("orders", "nobody").as_dict())

        with pytest.raises(UnknownQueue, match="no group 'nobody'"):
            task.execute(context())
        with pytest.raises(TickrelayError, match="no group 'nobody'"):
            complete(task, context(), trigger)


class TestOtherModes:
    def test_poke(self, hook, context, carry_out):
        """In poke mode it waits in the worker, and returns the same."""
        batch = publish(context, 1)
        timer = threading.Timer(0.2, carry_out, ["orders"])
        timer.start()
        result = sensor(until="settled", batch=batch, deferrable=False, poke_interval=0.05).execute(context())
        timer.join()

        assert 1 == result["handlers"]["sync"]["done"]

    def test_reschedule(self, hook, context):
        """In reschedule mode it gives its worker back between two looks."""
        from datetime import UTC, datetime

        own = context()
        own["ti"].get_first_reschedule_date = lambda _: datetime.now(UTC)

        with pytest.raises(AirflowRescheduleException):
            sensor(deferrable=False, mode="reschedule", poke_interval=1).execute(own)

    @pytest.mark.parametrize(
        ("soft", "expected"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)]
    )
    def test_timeout(self, hook, context, soft, expected):
        """The timeout fails the task, or skips it with `soft_fail`: deferred or not."""
        task = sensor(soft_fail=soft, timeout=0, deferrable=False, poke_interval=0)
        deferred = sensor(soft_fail=soft)

        with pytest.raises(expected):
            task.execute(context())
        with pytest.raises(TaskDeferred) as deferral:
            deferred.execute(context())
        assert 60 == deferral.value.timeout.total_seconds()
        with pytest.raises(expected):
            deferred.resume_execution("__fail__", {"error": "Trigger timeout"}, context())

    def test_soft_fail_of_dead_letters(self, hook, context, carry_out):
        """With `soft_fail` a bad end skips, as on any sensor."""
        batch = publish(context, 1)
        carry_out("orders", verdict=Verdict.DEAD)

        with pytest.raises(AirflowSkipException):
            sensor(until="settled", batch=batch, deferrable=False, soft_fail=True).execute(context())


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"until": "done"}, "until='done'"),
            ({"until": "settled", "match": {"type": "t"}}, "match="),
            ({"until": "drained", "batch": "b"}, "batch="),
            ({"until": "drained", "consume": False}, "consume=False"),
            ({"match": {"colour": "red"}}, "unknown name 'colour'"),
            ({"match": {"data": "red"}}, "data must name fields"),
        ],
    )
    def test_mistakes_are_found_when_the_dag_is_parsed(self, arguments, match):
        """What could never work is an import error."""
        with pytest.raises(ConfigurationError, match=match):
            sensor(**arguments)


class TestMapped:
    def test_queue_isn_t_the_executor_s(self):
        """Mapped over batches, `queue=` still is the queue of messages, and the task runs where it always would."""
        with DAG("d", schedule=None):
            mapped = QueueSensor.partial(task_id="w", queue="orders", until="settled").expand(
                batch=["a", "b"]
            )
        unmapped = mapped.unmap({"batch": "a"})

        assert ("default", "default") == (mapped.queue, unmapped.queue)
        assert ("orders", "a", "settled") == (unmapped.queue_name, unmapped.batch, unmapped.until)
