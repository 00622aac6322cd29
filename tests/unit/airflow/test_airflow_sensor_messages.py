# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`QueueSensor` that waits for a message, and its trigger."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout
from airflow.sdk.serde import serialize
from tests.unit.airflow.sensing import DEADLINE, complete, deferral, fired, sensor

from tickrelay_airflow.triggers.hub import Hub
from tickrelay_airflow.triggers.queue import QueueTrigger
from tickrelay_airflow.waiting import collecting
from tickrelay_airflow.waiting.conditions import Arrived, Drained, Settled, condition_of
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.ledger.records import DeadFilter
from tickrelay_messaging.message import Message

pytestmark = pytest.mark.usefixtures("own_hubs")


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

    def test_shown_to_all(self, hook, context):
        """Without `consume` each sensor sees the message, deferred or not, and one that takes it still gets it."""
        onlookers = [sensor(task_id=name, consume=False, match={"type": "go"}) for name in ("a", "b", "c")]
        contexts = [context(task_id=task.task_id) for task in onlookers]
        triggers = [deferral(task, own) for task, own in zip(onlookers, contexts, strict=True)]
        taker = deferral(sensor(match={"type": "go"}), context())

        async def wait():
            events = [asyncio.create_task(fired(trigger)) for trigger in (taker, *triggers)]
            message = Message.of({"n": 1}, id="m1", type="go")
            await asyncio.to_thread(self.send, hook, Message.of(0, id="m0"), message)
            return await asyncio.gather(*events)

        events = asyncio.run(wait())

        assert {"m1"} == {event["outcome"]["message_id"] for event in events}
        results = [
            task.execute_complete(own, event)
            for task, own, event in zip(onlookers, contexts, events[1:], strict=True)
        ]
        assert ["m1"] * 3 == [result["id"] for result in results]
        assert "m1" == sensor(consume=False, deferrable=False, match={"type": "go"}).execute(context())["id"]
        assert "m0" == sensor(task_id="later").execute(context(task_id="later"))["id"]

    def test_yesterday_s_message_is_not_shown(self, hook, context):
        """What came before the run was to begin starts nothing."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        self.send(hook, Message.of(1, id="old"))
        assert "old" == sensor(deferrable=False, consume=False).execute(context())["id"]
        own = context()
        own["dag_run"].run_after = datetime.now(UTC)
        trigger = deferral(sensor(consume=False), own)
        event = complete(
            sensor(consume=False), own, trigger, lambda: self.send(hook, Message.of(2, id="new"))
        )

        assert "new" == event["id"]

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

    @pytest.mark.parametrize(
        "body",
        [
            b'{"n": [18446744073709551616]}',
            b"-9223372036854775809",
            b"[1e999]",
            b'"\\u0000"',
            b'{"__classname__": "a.B", "__version__": 1, "__data__": 2}',
        ],
    )
    def test_what_airflow_can_t_hold(self, hook, context, body):
        """XCom can always be kept: such a body arrives as base64."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        self.send(hook, Message(id="m1", body=body))
        result = sensor(deferrable=False).execute(context())
        msgspec.msgpack.encode(result)
        json.dumps(serialize(result), allow_nan=False)

        assert (None, body) == (result["data"], base64.b64decode(result["body_base64"]))

    def test_messages_that_keep_coming(self, hook, context, monkeypatch):
        """A worker that could receive for ever looks all the same: it finds its message, or its time is over."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        collect, end = collecting.collect, time.monotonic() + DEADLINE

        def flooded(*arguments, **others):
            assert time.monotonic() < end
            self.send(hook, Message.of(1, type="flood"))
            return collect(*arguments, **others)

        monkeypatch.setattr(collecting, "collect", flooded)
        never = sensor(deferrable=False, match={"type": "never"}, timeout=0, poke_interval=0)

        assert sensor(deferrable=False, match={"type": "flood"}).execute(context())
        with pytest.raises(AirflowSensorTimeout):
            never.execute(context(task_id="never"))


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
