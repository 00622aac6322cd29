# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`QueueSensor` and its trigger: what they wait for, what they return, and how they end."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from tickrelay_airflow.connection.settings import Settings
from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_airflow.sensor import QueueSensor
from tickrelay_airflow.triggers.hub import Hub
from tickrelay_airflow.triggers.queue import QueueTrigger
from tickrelay_airflow.waiting.conditions import Arrived, Drained, Settled, condition_of
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import ConfigurationError, LedgerMismatch, TickrelayError, UnknownQueue
from tickrelay_messaging.ledger.records import DeadFilter, Verdict
from tickrelay_messaging.message import Message

DEADLINE = 20.0
"""Seconds after which a test that waits has failed."""


@pytest.fixture(autouse=True)
def own_hubs(monkeypatch):
    """Hubs of this test only."""
    monkeypatch.setattr(Hub, "_shared", {})


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


class TestSettled:
    def test_waits_until_the_batch_is_done(self, hook, context, carry_out):
        """It defers, and goes on with the counts by handler as soon as the last message is done."""
        batch = publish(context, 1, 2)
        task, own = sensor(until="settled", batch=batch), context(task_id="wait")
        result = complete(task, own, deferral(task, own), lambda: carry_out("orders"))

        assert {"messages": 2, "done": 2, "dead": 0, "discarded": 0, "expired": 0, "revoked": 0} == result[
            "handlers"
        ]["sync"]

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


class TestMessage:
    def send(self, hook, *messages):
        hook.broker.publish("orders", messages)

    def test_receives_one(self, hook, context):
        """
        A message published while it waits ends the wait and is returned whole; the broker has forgotten it.
        """
        task = sensor()
        trigger = deferral(task, context())
        message = Message.of({"n": 1}, id="m1", type="t", key="k", headers={"h": "v"})
        result = complete(task, context(), trigger, lambda: self.send(hook, message))

        expected = {
            "id": "m1",
            "source": "tickrelay",
            "type": "t",
            "key": "k",
            "data": {"n": 1},
            "headers": {"h": "v"},
        }
        assert expected == result
        assert 0 == next(row.ready for row in hook.broker.stats("orders") if row.group == "airflow")

    def test_the_event_carries_ids_only(self, hook, context):
        """Airflow stores events in its database, where payloads don't belong."""
        trigger = deferral(sensor(), context())
        self.send(hook, Message.of("secret", id="m1"))
        event = asyncio.run(fired(trigger))

        assert {"status": "fulfilled", "outcome": {"number": 1, "message_id": "m1"}} == event

    def test_each_goes_to_one_sensor(self, hook, context):
        """Two sensors share one hub, and two messages; neither is given twice."""
        tasks = [sensor(task_id=name) for name in ("a", "b")]
        contexts = [context(task_id=name) for name in ("a", "b")]
        triggers = [deferral(task, own) for task, own in zip(tasks, contexts, strict=True)]

        async def both():
            events = [asyncio.create_task(fired(trigger)) for trigger in triggers]
            await asyncio.to_thread(self.send, hook, Message.of(1, id="m1"), Message.of(2, id="m2"))
            return await asyncio.gather(*events)

        events = asyncio.run(both())
        results = [
            task.execute_complete(own, event)
            for task, own, event in zip(tasks, contexts, events, strict=True)
        ]

        assert {"m1", "m2"} == {result["id"] for result in results}
        assert 1 == len(Hub._shared)

    def test_one_message_two_sensors(self, hook, context):
        """With one message one sensor goes on and the other keeps waiting."""
        triggers = [deferral(sensor(task_id=name), context(task_id=name)) for name in ("a", "b")]

        async def race():
            events = {asyncio.create_task(fired(trigger)) for trigger in triggers}
            await asyncio.to_thread(self.send, hook, Message.of(1, id="m1"))
            done, waiting = await asyncio.wait(events, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
            more, waiting = await asyncio.wait(waiting, timeout=0.3)
            for event in waiting:
                event.cancel()
                with suppress(asyncio.CancelledError):
                    await event
            return len(done | more), len(waiting)

        assert (1, 1) == asyncio.run(race())

    def test_running_again_gives_the_same_message(self, hook, context):
        """
        A trigger that runs again elsewhere, a retry and a clear are given what the task was given before.
        """
        trigger = deferral(sensor(), context())
        self.send(hook, Message.of(1, id="m1"), Message.of(2, id="m2"))
        first, again = asyncio.run(fired(trigger)), asyncio.run(fired(trigger))

        assert first == again
        assert "m1" == sensor().execute(context(try_number=2))["id"]
        assert "m2" == sensor().execute(context(run_id="run-2"))["id"]

    @pytest.mark.parametrize(
        ("match", "expected"),
        [
            ({"type": "paid"}, "m2"),
            ({"key": "k3"}, "m3"),
            ({"headers": {"region": "eu"}}, "m3"),
            ({"data": {"n": 2}}, "m2"),
            ({"data": {"n": 3}, "type": "t"}, "m3"),
        ],
    )
    def test_match(self, hook, context, match, expected):
        """The oldest message of which everything named is equal."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        others = {
            "m1": {},
            "m2": {"type": "paid"},
            "m3": {"type": "t", "key": "k3", "headers": {"region": "eu"}},
        }
        self.send(hook, *(Message.of({"n": int(name[1])}, id=name, **others[name]) for name in others))
        task = sensor(match=match)

        assert expected == complete(task, context(), deferral(task, context()))["id"]

    def test_what_can_t_be_read_is_a_dead_letter(self, hook, context):
        """An undecodable body blocks nothing behind it, and its bytes are kept."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        self.send(hook, Message(id="bad", body=b"{not json"), Message.of(1, id="good"))
        task = sensor()

        assert "good" == complete(task, context(), deferral(task, context()))["id"]
        (dead,) = hook.ledger.dead_letters.list(DeadFilter(queue="orders"))
        assert b"{not json" == hook.ledger.dead_letters.show(dead.number).body

    def test_bytes(self, hook, context):
        """A body that isn't JSON arrives as base64."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        self.send(hook, Message(id="m1", body=b"\xff\x00", content_type="application/octet-stream"))

        assert "/wA=" == sensor(deferrable=False).execute(context())["body_base64"]


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
            ({"match": {"colour": "red"}}, "unknown name 'colour'"),
            ({"match": {"data": "red"}}, "data must name fields"),
        ],
    )
    def test_mistakes_are_found_when_the_dag_is_parsed(self, arguments, match):
        """What could never work is an import error."""
        with pytest.raises(ConfigurationError, match=match):
            sensor(**arguments)


class TestTrigger:
    @pytest.mark.parametrize(
        "condition",
        [
            Settled("q", "g", {"b": 1, "c": None}),
            Drained("q", "g"),
            Arrived("q", "g", taker="t", match={"data": {"a": [1, None]}}),
        ],
    )
    def test_conditions_survive_storage(self, condition):
        """What goes through Airflow's database as JSON comes back equal."""
        trigger = QueueTrigger("c", condition.as_dict())
        _, kwargs = trigger.serialize()
        again = QueueTrigger(**json.loads(json.dumps(kwargs)))

        assert condition == condition_of(again.condition)
        assert trigger.serialize() == again.serialize()

    def test_tolerates_what_another_version_stored(self):
        """A trigger can always be made: one that can't would block its number in the triggerer."""
        assert QueueTrigger(newer_argument=1).serialize()[1] == {
            "conn_id": "tickrelay_default",
            "condition": {},
        }

    def test_no_url_is_stored(self, hook, context):
        """URLs, which may hold passwords, stay in the connection."""
        assert "sqlite" not in json.dumps(deferral(sensor(), context()).serialize()[1])

    def test_an_unknown_condition_ends_with_an_error(self, hook):
        """What this version doesn't know is an error event, not a trigger that is gone."""
        event = asyncio.run(fired(QueueTrigger(condition={"until": "doomsday"})))

        assert "error" == event["status"]
        assert "doomsday" in event["error"]

    def test_a_missing_connection_ends_with_an_error(self):
        """The task fails with the reason."""
        event = asyncio.run(fired(QueueTrigger("nowhere", Drained("q", "g").as_dict())))

        assert "AIRFLOW_CONN_NOWHERE" in event["error"]


class TestHub:
    def test_many_sensors_one_hub_few_threads(self, hook, context):
        """Two hundred waiting sensors cost three threads, and the loop stays free."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        before = threading.active_count()

        async def wait():
            triggers = [
                QueueTrigger(condition=Arrived("orders", "airflow", taker=f"t{n}").as_dict())
                for n in range(200)
            ]
            events = [asyncio.create_task(fired(trigger)) for trigger in triggers]
            await asyncio.to_thread(
                wait_until, lambda: sum(hub.waiting for hub in Hub._shared.values()) == 200
            )
            threads = threading.active_count() - before
            await asyncio.to_thread(
                hook.broker.publish, "orders", [Message.of(n, id=f"m{n}") for n in range(200)]
            )
            found = await asyncio.gather(*events)
            return threads, {event["outcome"]["message_id"] for event in found}

        threads, found = asyncio.run(wait())

        assert threads <= 4  # three of the hub's, one of asyncio's default executor
        assert 200 == len(found)

    def test_a_service_that_is_down_is_waited_for(self, hook, monkeypatch):
        """Broker or ledger failing is no reason to fail a sensor: it goes on when they are back."""
        from tickrelay_airflow.triggers import hub as module
        from tickrelay_messaging.errors import LedgerUnavailable

        monkeypatch.setattr(module, "PAUSE", 0.05)
        monkeypatch.setattr(module, "SAFETY", 0.05)
        answers = iter([LedgerUnavailable("down"), LedgerUnavailable("down"), {"fine": True}])

        class Flaky(Drained):
            def check(self, broker, ledger):
                answer = next(answers)
                if isinstance(answer, Exception):
                    raise answer
                return answer

        async def wait():
            async with asyncio.timeout(DEADLINE):
                return await Hub.shared(Settings.load("tickrelay_default")).until(Flaky("q", "g"))

        assert {"fine": True} == asyncio.run(wait())

    def test_nobody_left_nothing_received(self, hook, context):
        """When the last sensor gives up, messages stay on the queue for the next one."""
        trigger = deferral(sensor(), context())

        async def give_up():
            event = asyncio.create_task(fired(trigger))
            await asyncio.to_thread(wait_until, lambda: any(hub.waiting for hub in Hub._shared.values()))
            event.cancel()
            with suppress(asyncio.CancelledError):
                await event

        asyncio.run(give_up())
        (hub,) = Hub._shared.values()
        wait_until(lambda: not hub._receivers and not hub._checking)
        wait_until(lambda: all(not row.consumers for row in hook.broker.stats("orders")))


def wait_until(condition, deadline: float = DEADLINE) -> None:
    """Wait for something that another thread does; there is no event to wait for."""
    ended = threading.Event()
    for _ in range(int(deadline / 0.02)):
        if condition():
            return
        ended.wait(0.02)
    raise AssertionError("it did not happen in time")


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
